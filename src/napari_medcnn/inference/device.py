"""Where a network runs: the device, its threads, and leaving its memory as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.inference.memory import give_back_freed_memory


def choose_device(wanted: str = "auto") -> str:
    """The device to run on: `wanted`, or for ``"auto"`` CUDA where there is one, else the CPU.

    Raises
    ------
    MedcnnError
        When the wanted device is not there.
    """
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = wanted.partition(":")
    there = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }
    if kind not in there or (number and not number.isdigit()):
        raise MedcnnError(f"{wanted!r} is no device", hint="auto, cpu, cuda, cuda:1 or mps")
    if int(number or 0) >= there[kind]:
        raise MedcnnError(f"this computer has no device {wanted}", hint="use auto or cpu")
    return wanted


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """Let torch compute with `count` threads within the block; None leaves its own choice."""
    import torch

    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(max(1, count))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def release_memory(device: str) -> None:
    """Give memory that is kept for later back to the device, and to the system."""
    import torch

    give_back_freed_memory()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
    elif device == "mps":
        torch.mps.empty_cache()


def held_gb(device: str) -> float | None:
    """Memory of a CUDA device that torch holds in this process, in 10^9 bytes; None elsewhere."""
    import torch

    return torch.cuda.memory_reserved(device) / 1e9 if device.startswith("cuda") else None
