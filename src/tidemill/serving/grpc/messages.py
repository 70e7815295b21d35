"""The messages of the Open Inference Protocol, made from its descriptor when the server starts.

Generated modules would be tied to the version of protobuf that generated them, and would fight over names with a client
library of the same protocol in the same process; a descriptor in a pool of its own does neither.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

PACKAGE = "inference"
SERVICE = f"{PACKAGE}.GRPCInferenceService"
FILE = "open_inference.descriptor"


def descriptors() -> DescriptorPool:
    """The protocol's files, and those of health and reflection, so that a client that asks finds all of them."""
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString((files(__package__) / FILE).read_bytes()).file:
        pool.AddSerializedFile(file.SerializeToString())
    for module in (health_pb2, reflection_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    return pool


POOL = descriptors()


def message(name: str) -> Any:
    """The class of a message: ``ModelInferRequest``."""
    return GetMessageClass(POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))
