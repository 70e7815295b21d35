"""What crosses between a parent and its own worker processes, over private sockets: frames and their contents.

Functions and classes travel by name, together with the file that they are in; plain values travel; artifacts travel as
references. Anything else is refused where it is sent, so that no object is smuggled past the materialisers.
"""

from __future__ import annotations

import io
import json
import pickle
import socket
import struct
import sys
from collections.abc import Sequence
from dataclasses import is_dataclass
from enum import Enum
from types import BuiltinFunctionType, FunctionType
from typing import Any

from tidemill.core.errors import PipelineError, TidemillError
from tidemill.engine.references import load_module, module_path, reference, resolve
from tidemill.engine.tasks import StepTask

_HEADER = struct.Struct("<Q")
_FAILURES = (pickle.PicklingError, TypeError, AttributeError, RecursionError, ValueError)


def encode(message: object) -> bytes:
    """Bytes of a message made of plain values, dataclasses, functions and classes.

    Raises
    ------
    PipelineError
        It contains something that does not travel; the message names it.

    Examples
    --------
    >>> decode(encode(("task", {"rows": [1, 2.5, None]})))
    ('task', {'rows': [1, 2.5, None]})
    """
    buffer = io.BytesIO()
    pickler = _Pickler(buffer)
    try:
        pickler.dump(message)
    except TidemillError:
        raise
    except _FAILURES as error:
        raise PipelineError(f"a value cannot be sent to another process ({error})", hint=_HINT) from error
    return json.dumps(pickler.paths).encode() + b"\n" + buffer.getvalue()


def decode(data: bytes) -> Any:
    """The message; modules that it mentions are imported, from their files where need be."""
    paths, _, body = data.partition(b"\n")
    return _Unpickler(body, json.loads(paths)).load()


_HINT = "Pass plain values, or return it from a step so that it is stored."


def encode_task(task: StepTask) -> bytes:
    """Bytes of a task.

    Raises
    ------
    PipelineError
        The function cannot be found by name, or an argument does not travel; the message names it.
    """
    try:
        return encode(task)
    except PipelineError:
        for name, argument in task.arguments.items():
            try:
                encode(argument)
            except PipelineError as error:
                raise PipelineError(
                    f"argument {name!r} of step {task.node!r} cannot be sent to a worker process: {error.what}",
                    value=error.value,
                    hint=error.hint,
                ) from error
        raise


class _Pickler(pickle.Pickler):
    """Pickles by name and by value, and notes the files of the modules that it names."""

    def __init__(self, buffer: io.BytesIO) -> None:
        super().__init__(buffer, protocol=5)
        self.paths: dict[str, str] = {}

    def reducer_override(self, value: Any) -> Any:
        """Functions by reference, classes by name, values only if they are plain."""
        if isinstance(value, FunctionType):
            if value is resolve:
                return NotImplemented
            ref = reference(value)
            self._note(ref.module)
            return resolve, (ref,)
        if isinstance(value, type):
            if "<locals>" in value.__qualname__:
                raise PipelineError(
                    f"class {value.__qualname__} is defined inside a function, where a worker process cannot find it",
                    hint="Move it to the top level of a module.",
                )
            self._note(value.__module__)
        elif not _is_plain(value):
            kind = f"{type(value).__module__}.{type(value).__qualname__}"
            raise PipelineError(f"a {kind} is not a plain value", value=value, hint=_HINT)
        else:
            self._note(type(value).__module__)
        return NotImplemented

    def _note(self, module: str) -> None:
        if module.partition(".")[0] in _KNOWN or module in self.paths:
            return
        path = module_path(sys.modules.get(module))
        if path is not None:
            self.paths[module] = path


_KNOWN = sys.stdlib_module_names | {"builtins", "tidemill"} - {"__main__"}


def _is_plain(value: object) -> bool:
    kind = type(value)
    if isinstance(value, BuiltinFunctionType | Enum) or (is_dataclass(kind) and not isinstance(value, BaseException)):
        return True
    if kind.__module__.partition(".")[0] == "numpy":
        return kind.__name__ != "ndarray"  # scalars and their dtypes
    return kind.__module__.partition(".")[0] in _KNOWN or (isinstance(value, tuple) and hasattr(value, "_fields"))


class _Unpickler(pickle.Unpickler):
    """Finds names in modules that the import system may not find by itself."""

    def __init__(self, body: bytes, paths: dict[str, str]) -> None:
        super().__init__(io.BytesIO(body))
        self._paths = paths

    def find_class(self, module: str, name: str) -> Any:
        """Import the module, then look up the name."""
        load_module(module, self._paths.get(module))
        return super().find_class(module, name)


def send(sock: socket.socket, data: bytes, descriptors: Sequence[int] = ()) -> None:
    """Write one frame to a blocking socket, with file descriptors if any."""
    frame = _HEADER.pack(len(data)) + data
    if descriptors:
        frame = frame[socket.send_fds(sock, [frame], list(descriptors)) :]
    sock.sendall(frame)


def receive(sock: socket.socket, most_descriptors: int = 0) -> tuple[bytes, list[int]] | None:
    """Read one frame from a blocking socket; None at the end of the stream, whole frame or not."""
    descriptors: list[int] = []
    header = b""
    while len(header) < _HEADER.size:
        piece, received, _, _ = socket.recv_fds(sock, _HEADER.size - len(header), most_descriptors)
        descriptors += received
        if not piece:
            return None
        header += piece
    data = bytearray()
    size = _HEADER.unpack(header)[0]
    while len(data) < size:
        piece = sock.recv(min(size - len(data), 1 << 20))
        if not piece:
            return None
        data += piece
    return bytes(data), descriptors


class Frames:
    """Frames on a non-blocking socket: collects what arrives, keeps what does not yet fit.

    Parameters
    ----------
    sock
        One end of a socket pair; it is made non-blocking.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(0)
        self.sock = sock
        self._in = bytearray()
        self._out = bytearray()

    @property
    def is_sending(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._out)

    def send(self, data: bytes) -> None:
        """Write a frame, as much of it as fits now."""
        self._out += _HEADER.pack(len(data)) + data
        self.flush()

    def flush(self) -> None:
        """Write what waits, as much as fits; a peer that is gone is noticed by reading."""
        while self._out:
            try:
                sent = self.sock.send(memoryview(self._out)[: 1 << 20])
            except BlockingIOError:
                return
            except (BrokenPipeError, ConnectionResetError):
                self._out.clear()
                return
            del self._out[:sent]

    def read(self) -> tuple[list[bytes], bool]:
        """The frames that are complete, and whether the stream goes on."""
        is_open = True
        while True:
            try:
                piece = self.sock.recv(1 << 18)
            except BlockingIOError:
                break
            except ConnectionResetError:
                piece = b""
            if not piece:
                is_open = False
                break
            self._in += piece
        frames = []
        while len(self._in) >= _HEADER.size:
            end = _HEADER.size + _HEADER.unpack_from(self._in)[0]
            if len(self._in) < end:
                break
            frames.append(bytes(self._in[_HEADER.size : end]))
            del self._in[:end]
        return frames, is_open
