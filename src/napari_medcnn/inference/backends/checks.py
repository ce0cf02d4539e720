"""What every backend holds its network's output to, and how it says that memory ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from napari_medcnn.core.errors import ModelError, OutOfMemory
from napari_medcnn.inference.device import release_memory
from napari_medcnn.inference.survive import is_out_of_memory, what_did_not_fit

if TYPE_CHECKING:
    import torch

_Result = TypeVar("_Result")


def check_size(output: Sequence[int], windows: Sequence[int]) -> None:
    """Hold an output ``(batch, class, x, y, z)`` to the size of its windows.

    Raises
    ------
    ModelError
        When they differ.
    """
    if len(output) != len(windows) or tuple(output[2:]) != tuple(windows[2:]):
        raise ModelError(
            f"the network makes {tuple(output[2:])} of a window of {tuple(windows[2:])}; "
            "both must be alike"
        )


def check_finite(logits: torch.Tensor, *, half: bool = False) -> None:
    """Hold logits to being numbers: by comparison alone, NaN would count as foreground.

    Raises
    ------
    ModelError
        When one of them is infinite or none.
    """
    import torch

    # A sum is finite only if all its terms are; one that overflows is looked at term by term.
    if torch.isfinite(logits.sum()) or torch.isfinite(logits).all():
        return
    raise ModelError(
        "the network gives values that are no finite numbers, so there is no result",
        hint="choose the device cpu, which computes in full precision"
        if half
        else "its weights may be damaged, or the image is none that it was made for",
    )


def or_out_of_memory(call: Callable[[], _Result], device: str, windows: int) -> _Result:
    """What `call` returns; whatever says that memory ended becomes our `OutOfMemory`.

    The error holds on to no frame of the failed call, and so to none of its tensors.

    Raises
    ------
    OutOfMemory
        When the memory of `device` or of this computer did not suffice for `windows`.
    """
    try:
        return call()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        reason = what_did_not_fit(error)
    release_memory(device)
    raise OutOfMemory(
        f"the memory of {'this computer' if device == 'cpu' else device} did not suffice for "
        f"{windows} window{'s' if windows > 1 else ''} of the network: {reason}",
        hint="close other programs, or choose another device",
    )
