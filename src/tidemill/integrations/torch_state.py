"""Nested state with tensors (weights, optimizers, random numbers) as bytes and back: JSON and safetensors."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import safetensors.torch
import torch

from tidemill.core.errors import ModelError, UnsafeModelError

_LENGTH = struct.Struct("<Q")


def packed(state: Any) -> bytes:
    """Bytes of mappings, lists, tuples, plain values, tensors and arrays.

    >>> unpacked(packed({"step": 3, "weights": [torch.tensor([1.0, 2.0])]}))
    {'step': 3, 'weights': [tensor([1., 2.])]}
    """
    tensors: dict[str, torch.Tensor] = {}
    outline = json.dumps(_outlined(state, tensors)).encode()
    return b"".join([_LENGTH.pack(len(outline)), outline, safetensors.torch.save(tensors)])


def unpacked(data: bytes) -> Any:
    """What `packed` was given, tensors on the processor."""
    try:
        (length,) = _LENGTH.unpack_from(data)
        end = _LENGTH.size + length
        return _filled(json.loads(data[_LENGTH.size : end]), safetensors.torch.load(data[end:]))
    except (struct.error, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise UnsafeModelError(f"this is not a training state: {error}", hint="Start the training again.") from error


def _outlined(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, torch.Tensor | np.ndarray):
        name = str(len(tensors))
        array = isinstance(value, np.ndarray)
        tensor = torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        # A copy: safetensors refuses two names for one memory, and best weights may be the current ones.
        tensors[name] = tensor.detach().cpu().clone().contiguous()
        return {"array" if array else "tensor": name}
    if isinstance(value, dict):
        return {"mapping": [[_outlined(key, tensors), _outlined(item, tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_outlined(item, tensors) for item in value]}
    raise ModelError(
        "the state of a training holds what cannot be written", value=value, hint="Keep plain values and tensors in it."
    )


def _filled(outline: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if not isinstance(outline, dict):
        return outline
    ((kind, content),) = outline.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "array":
        return tensors[content].numpy()
    if kind == "mapping":
        return {_filled(key, tensors): _filled(item, tensors) for key, item in content}
    items = [_filled(item, tensors) for item in content]
    return items if kind == "list" else tuple(items)
