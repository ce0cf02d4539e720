"""What every run of a network has around it: consent before, threads within, memory back after."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from napari_medcnn.core.errors import ConsentNeeded, OutOfMemory
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference.device import release_memory, torch_threads
from napari_medcnn.inference.survive import is_out_of_memory, what_did_not_fit

READING = "reading model"
"""The first stage of a run in :class:`~napari_medcnn.core.events.Progress`."""


def out_of_memory(error: BaseException) -> OutOfMemory:
    """What people read when the memory of this computer ended."""
    return OutOfMemory(
        f"the memory of this computer did not suffice: {what_did_not_fit(error)}",
        hint="close other programs and images, or run a region of interest",
    )


def check_findings(volumes: Sequence[Volume], accepted: bool) -> None:
    """Refuse images with findings that forbid measuring, unless the user accepts them.

    Raises
    ------
    ConsentNeeded
        With the first finding's text.
    """
    for volume in volumes:
        findings = volume.blocking_findings
        if findings and not accepted:
            raise ConsentNeeded(
                f"this image must not be measured unseen: {findings[0].text}",
                source=volume.name,
                hint="look at the image, then accept its findings to go on",
            )


@contextmanager
def running(
    threads: int | None,
    device: Callable[[], str],
    told: Callable[[BaseException], OutOfMemory] = out_of_memory,
) -> Iterator[None]:
    """A run of a network, which leaves threads and memory as it found them, however it ends.

    Parameters
    ----------
    threads : int, optional
        Of the CPU, for this run only.
    device : callable
        Names the device when the run is over: on the way it may have moved to the CPU.
    told : callable
        Makes of an error that says that memory ended the one that people read.

    Raises
    ------
    OutOfMemory
        In place of whichever error a library raises when memory ends.
    """
    try:
        with torch_threads(threads):
            yield
    except Exception as error:
        # The frames of a failed run hold tensors as long as someone holds the error.
        traceback.clear_frames(error.__traceback__)
        if is_out_of_memory(error) and not isinstance(error, OutOfMemory):
            raise told(error) from error
        raise
    finally:
        release_memory(device())
