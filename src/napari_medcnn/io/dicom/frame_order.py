"""The header values by which frames at one position are told apart, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_medcnn.io.dicom.tag_values import (
    Lookup,
    floats,
    integer,
    number,
    private,
    values,
)

if TYPE_CHECKING:
    from napari_medcnn.io.dicom.tag_values import Values

ORDER_NAMES = ("frame", "time", "trigger time", "acquisition", "b-value", "direction", "file",
               "frame", "time", "time")  # fmt: skip
"""What each entry of `keys` is called when it becomes the frame axis."""

ORDER_UNITS = ("", "", "ms", "", "s/mm²", "", "", "", "", "")

PRIVATE_TAGS = (
    # Philips: creators of the blocks at 2001,10 and 2005,10 are read for their names.
    0x20010010, 0x20011003, 0x20050010, 0x200510B0, 0x200510B1, 0x200510B2,
    0x00190010, 0x0019100C, 0x0019100E, 0x001910BB, 0x001910BC, 0x001910BD,  # Siemens, GE
    0x00430010, 0x00431039,  # GE
)  # fmt: skip

GE_B_VALUE_MARK = 1_000_000_000
"""GE adds this to some b-values (GE's DICOM conformance statement)."""

_POSITION_POINTERS = (0x00209057, 0x00200032, 0x00209056)
"""In-Stack Position Number, Image Position (Patient), Stack ID."""


@dataclass(frozen=True)
class FrameOrder:
    """What tells a frame from others at its position.

    Parameters
    ----------
    keys : tuple
        Values in the order of :data:`ORDER_NAMES`, the most telling first; None where unknown.
    b_value : float, optional
        In s/mm².
    gradient : tuple of float, optional
        Diffusion gradient's unit direction in LPS; None also where a vendor gives it in the
        scanner's axes only.
    echo_time_ms : float, optional
    acquired : str
        Date and time of acquisition, ``YYYYMMDDHHMMSS.F`` or the time alone; ``""`` if unknown.
    """

    keys: tuple[Any, ...] = (None,) * len(ORDER_NAMES)
    b_value: float | None = None
    gradient: tuple[float, ...] | None = None
    echo_time_ms: float | None = None
    acquired: str = ""


def frame_order(
    find: Lookup, dataset: Values, count: int, free_dimensions: tuple[int, ...]
) -> FrameOrder:
    """Read the order of one frame.

    Parameters
    ----------
    find : Lookup
        Over the frame's own places.
    dataset : Dataset
        The file.
    count : int
        Frames in the file.
    free_dimensions : tuple of int
        From :func:`free_dimensions`.
    """
    dimensions = values(find("DimensionIndexValues", "FrameContentSequence"))
    usable = all(axis < len(dimensions) for axis in free_dimensions)
    free = tuple(int(dimensions[axis]) for axis in free_dimensions) if usable else ()
    b_value, gradient, direction_key = _diffusion(find, dataset)
    file_number = integer(dataset.get("InstanceNumber")) if count > 1 else None
    diffusion = None if b_value is None or direction_key is None else (b_value, *direction_key)
    keys = (
        free or None,
        number(find("TemporalPositionIdentifier"))
        or number(find("TemporalPositionIndex", "FrameContentSequence")),
        number(find("TriggerTime"))
        or number(find("NominalCardiacTriggerDelayTime", "CardiacSynchronizationSequence")),
        integer(find("AcquisitionNumber")),
        b_value,
        diffusion,
        file_number,
        None if file_number is None or not free else (file_number, *free),
        str(find("AcquisitionTime") or find("AcquisitionDateTime") or "") or None,
        str(find("ContentTime") or "") or None,
    )
    return FrameOrder(keys, b_value, gradient, _echo_time(find), _acquired(find))


def free_dimensions(dataset: Values) -> tuple[int, ...]:
    """Which of an enhanced object's dimension indices are not the position along the stack."""
    pointers = [
        int(item.DimensionIndexPointer) for item in dataset.get("DimensionIndexSequence") or []
    ]
    return tuple(axis for axis, tag in enumerate(pointers) if tag not in _POSITION_POINTERS)


def _echo_time(find: Lookup) -> float | None:
    time = number(find("EffectiveEchoTime", "MREchoSequence")) or number(find("EchoTime"))
    # Rounded: one scan's slices may differ in the last digits of their nominal echo time.
    return None if time is None else round(time, 1)


def _acquired(find: Lookup) -> str:
    moment = str(
        find("FrameAcquisitionDateTime", "FrameContentSequence")
        or find("AcquisitionDateTime")
        or ""
    )
    if moment:
        return moment.partition("+")[0]
    time = str(find("AcquisitionTime") or "")
    return str(find("AcquisitionDate") or "") + time if time else ""


def _diffusion(
    find: Lookup, dataset: Values
) -> tuple[float | None, tuple[float, ...] | None, tuple[float, ...] | None]:
    """b-value, direction in LPS, and a key that tells directions apart also where LPS is unknown.

    Public elements first, then the private ones of Siemens, Philips and GE. Without diffusion
    weighting there is no direction, and the key is zero.
    """
    b_value = number(find("DiffusionBValue", "MRDiffusionSequence"))
    direction = _public_direction(find)
    key = direction
    if b_value is None and dataset.get("Modality") == "MR":
        b_value, direction, key = _private_diffusion(dataset)
    if b_value is None:
        return None, None, None
    if direction is not None and not any(direction):
        direction = None
    if key is None and b_value == 0:
        key = (0.0, 0.0, 0.0)
    return b_value, direction, None if key is None else tuple(round(v, 4) + 0.0 for v in key)


def _public_direction(find: Lookup) -> tuple[float, ...] | None:
    own = floats(find("DiffusionGradientOrientation"), 3)
    if own is not None:
        return own
    nested = find("DiffusionGradientDirectionSequence", "MRDiffusionSequence")
    return floats(nested[0].get("DiffusionGradientOrientation"), 3) if nested else None


def _private_diffusion(
    dataset: Values,
) -> tuple[float | None, tuple[float, ...] | None, tuple[float, ...] | None]:
    siemens = number(private(dataset, 0x0019, "SIEMENS MR HEADER", 0x0C))
    if siemens is not None:
        direction = floats(private(dataset, 0x0019, "SIEMENS MR HEADER", 0x0E), 3)
        return siemens, direction, direction
    philips = number(private(dataset, 0x2001, "PHILIPS IMAGING DD 001", 0x03))
    if philips is not None:
        parts = [
            number(private(dataset, 0x2005, "PHILIPS MR IMAGING DD 001", element))
            for element in (0xB0, 0xB1, 0xB2)
        ]
        known = [part for part in parts if part is not None]
        direction = tuple(known) if len(known) == 3 else None
        return philips, direction, direction
    ge = number(private(dataset, 0x0043, "GEMS_PARM_01", 0x39))
    if ge is None:
        return None, None, None
    parts = [number(private(dataset, 0x0019, "GEMS_ACQU_01", e)) for e in (0xBB, 0xBC, 0xBD)]
    known = [part for part in parts if part is not None]
    # GE's directions are along frequency, phase and slice, not along the patient's axes.
    return ge % GE_B_VALUE_MARK, None, tuple(known) if len(known) == 3 else None
