"""Where a module is trained: the device that was asked for, and what is said of one that is full."""

from __future__ import annotations

import torch

from tidemill.core.errors import ModelError

#: What the libraries below PyTorch say of a full device; its own allocator raises `torch.OutOfMemoryError`.
_FULL = ("out of memory", "ALLOC_FAILED")


def device_named(wanted: str) -> torch.device:
    """The device of a name; ``"auto"`` is the graphics card where there is one.

    Raises
    ------
    ModelError
        When there is no such device, or there is no room on it at all.
    """
    name = wanted
    if wanted == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        if is_full(error):
            raise full(name, "already", error) from error
        said = str(error).strip().splitlines()[0]
        raise ModelError(f"there is no device {wanted!r} here: {said}", hint="Use device='auto' or 'cpu'.") from error
    return device


def is_full(error: Exception) -> bool:
    """Whether it was for want of memory on a device that something could not be done.

    >>> is_full(RuntimeError("CUDA error: out of memory")), is_full(RuntimeError("CUDA error: invalid argument"))
    (True, False)
    """
    return isinstance(error, torch.OutOfMemoryError) or any(said in str(error) for said in _FULL)


def full(device: torch.device | str, how: str, error: Exception) -> ModelError:
    """What is said of a device without room, with what its library said."""
    return ModelError(
        f"{device} is full {how}: {str(error).splitlines()[0]}",
        hint="Use a smaller module, free the device, or train on the processor: device='cpu'.",
    )
