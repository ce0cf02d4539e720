"""Layers that came from elsewhere, as volumes: which one is ours, and what to assume of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.app.layers import METADATA_KEY
from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.geometry import Geometry, Index
from napari_medcnn.core.volume import (
    Finding,
    FrameAxis,
    Severity,
    Source,
    Volume,
    canonical_volume,
)

ORIENTATION_ASSUMED = Finding(
    "orientation-assumed",
    Severity.WARNING,
    "The layer does not tell how the patient lies in it; z, y, x are taken for Superior, "
    "Posterior, Left.",
)

SPACING_UNKNOWN = Finding(
    "spacing-unknown",
    Severity.WARNING,
    "The layer has no unit of length, so its voxels' size is unknown; nothing is given in mm.",
)


def volume_of_layer(metadata: Mapping[str, Any], volumes: Mapping[str, Volume]) -> Volume | None:
    """The volume that a layer shows, by its metadata.

    Parameters
    ----------
    metadata : mapping
        ``layer.metadata``.
    volumes : mapping
        Of the viewer's session, ``Session.volumes``; it goes before the layer's own reference.

    Returns
    -------
    Volume or None
        None for a layer that this package did not make.
    """
    mine = metadata.get(METADATA_KEY)
    if not isinstance(mine, Mapping):
        return None
    known = volumes.get(str(mine.get("volume_id")))
    if known is not None:
        return known
    carried = mine.get("volume")
    return carried if isinstance(carried, Volume) else None


def adopt_layer(
    data: npt.ArrayLike,
    scale: Sequence[float],
    translate: Sequence[float],
    name: str,
    *,
    units: Sequence[Any] = (),
    modality: str = "",
) -> Volume:
    """A volume from an image layer that was opened by other means.

    Parameters
    ----------
    data : array
        ``(y, x)``, ``(z, y, x)`` or ``(frame, z, y, x)``; no colours, no pyramid.
    scale, translate : sequence of float
        As the layer has them, one number an axis of `data`. A negative scale is a flipped axis.
    name : str
        The layer's.
    units : sequence, optional
        As the layer has them: pint units or their names. The spacing counts as unknown unless the
        last axes are lengths.
    modality : str
        DICOM's term if known.

    Raises
    ------
    InputMismatch
        When the data has not two to four axes.
    """
    array = np.asarray(data)
    if not 2 <= array.ndim <= 4 or array.dtype.kind not in "biuf":
        raise InputMismatch(
            f"an image has two to four axes of plain numbers, not {array.shape} of {array.dtype}",
            source=name,
            hint="choose a grey-value layer that is no pyramid",
        )
    in_mm = _millimetres(units, min(array.ndim, 3))
    factor = np.ones(min(array.ndim, 3)) if in_mm is None else in_mm
    steps = np.asarray(scale, dtype=float)[-3:] * factor
    origin = np.asarray(translate, dtype=float)[-3:] * factor
    if array.ndim == 2:
        array, steps, origin = array[None], np.array([1.0, *steps]), np.array([0.0, *origin])
    findings = (
        (ORIENTATION_ASSUMED,) if in_mm is not None else (ORIENTATION_ASSUMED, SPACING_UNKNOWN)
    )
    return canonical_volume(
        array,
        _axis_aligned(array.shape, steps, origin),
        source=Source(),
        name=name,
        modality=modality,
        frames=FrameAxis("frame") if array.ndim == 4 else None,
        findings=findings,
        spacing_known=in_mm is not None,
    )


def _axis_aligned(
    shape: tuple[int, ...], steps: npt.NDArray[np.float64], origin: npt.NDArray[np.float64]
) -> Geometry:
    affine = np.eye(4)
    affine[:3, :3] = np.diag(steps)[::-1]
    affine[:3, 3] = origin[::-1]
    z, y, x = shape[-3:]
    grid: Index = (z, y, x)
    return Geometry(grid, affine)


def _millimetres(units: Sequence[Any], count: int) -> npt.NDArray[np.float64] | None:
    """Millimetres in one unit of each of the last axes; None where one is no length."""
    import pint

    registry = pint.get_application_registry()  # type: ignore[no-untyped-call]
    if len(units) < count:
        return None
    try:
        lengths = [registry.Quantity(1.0, str(unit)).to("mm") for unit in units[-count:]]
    except (pint.DimensionalityError, pint.UndefinedUnitError):
        return None
    return np.array([length.magnitude for length in lengths])
