"""Which part of both images guides a registration: the brain, the body or everything.

A head moves as one piece, but scalp, eyes, tongue and neck move within it: the brain alone is
looked at where it can be found. Both images are guided by the same kind of region.
"""

from __future__ import annotations

from collections.abc import Generator

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.events import Event, Fallback, JobControl, Progress
from napari_medcnn.followup.registration_options import Region
from napari_medcnn.followup.registration_scan import Scan
from napari_medcnn.imaging.body import body_mask, looks_like_ct
from napari_medcnn.imaging.brain import MaskArray
from napari_medcnn.inference.brain import brain_mask

STAGE = "finding the region"


def guided_scans(
    fixed: Scan, moving: Scan, region: Region, control: JobControl
) -> Generator[Event, None, tuple[Scan, Scan, Region]]:
    """Both scans with their masks, and which region these show.

    Parameters
    ----------
    fixed, moving : Scan
        Guided by every voxel.
    region : {"auto", "brain", "body", "all"}
        What is wished; "auto" gives "brain" or "body".
    control : JobControl
        Cancels between the masks and within the network's steps.

    Yields
    ------
    Event
        `Progress`, and a `Fallback` where no brain was found in an image that may show one.

    Raises
    ------
    InputMismatch
        When a brain was asked for and not found.
    """
    scans = (fixed, moving)
    yield Progress(STAGE, 0, len(scans))
    if region == "all":
        return fixed, moving, region
    wanted: Region = region
    if region == "auto":
        wanted = "body" if any(looks_like_ct(scan.array) for scan in scans) else "brain"
    if wanted == "brain":
        try:
            first, second = yield from _brains(scans, control)
        except InputMismatch as error:
            if region == "brain":
                raise
            yield Fallback("register by the brain", "register by the whole body", error.what)
        else:
            return fixed.masked(first), moving.masked(second), "brain"
    found = []
    for number, scan in enumerate(scans):
        control.checkpoint()
        found.append(scan.masked(body_mask(scan.array, scan.geometry)))
        yield Progress(STAGE, number + 1, len(scans))
    return found[0], found[1], "body"


def _brains(
    scans: tuple[Scan, Scan], control: JobControl
) -> Generator[Event, None, tuple[MaskArray, MaskArray]]:
    masks = []
    for number, scan in enumerate(scans):
        found = brain_mask(scan.array, scan.geometry, control=control)
        if not found.plausible:
            raise InputMismatch(found.warnings[-1], source=scan.name)
        masks.append(found.mask)
        yield Progress(STAGE, number + 1, len(scans))
    return masks[0], masks[1]
