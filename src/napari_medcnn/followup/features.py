"""Features of every lesion of a table, for models of prognosis: shape, values, and texture.

Figures are taken on the image as it is: it is neither resampled nor normalised. Between scanners
and sequences intensity features of MR are not comparable unless the images were made so before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_medcnn.core.lesion import Lesion, LesionTable, Measurement, missing
from napari_medcnn.core.volume import Volume
from napari_medcnn.followup.intensity_features import BIN_WIDTH, intensity_features
from napari_medcnn.followup.shape_features import SHAPE_FEATURES, shape_features
from napari_medcnn.followup.texture_features import texture_features
from napari_medcnn.imaging.lesion_measures import NO_DEPTH, why_not_measured
from napari_medcnn.report.tables import write_records

LESION_COLUMNS = ("id", "label_name")


def lesion_features(
    lesion: Lesion,
    table: LesionTable,
    volume: Volume,
    *,
    bin_width: float = BIN_WIDTH,
    texture: bool = False,
    accept_blocking: bool = False,
) -> dict[str, Measurement]:
    """Features of one lesion, by name.

    Parameters
    ----------
    lesion : Lesion
        One of `table`.
    table : LesionTable
        Whose map of ids says which voxels are the lesion's.
    volume : Volume
        The image that it was found in.
    bin_width : float
        Of histogram and texture, in the image's unit.
    texture : bool
        Whether to compute texture, which needs the extra ``texture``.
    accept_blocking : bool
        Go on although a finding forbids measuring.

    Raises
    ------
    MedcnnError
        When texture is asked for and cannot be computed.
    """
    box = tuple(
        slice(start, stop) for start, stop in zip(lesion.bbox_start, lesion.bbox_stop, strict=True)
    )
    mask = table.id_map[box] == lesion.id
    values = volume.array[box].astype(np.float64)
    reason = why_not_measured(volume, accept_blocking) or (NO_DEPTH if volume.is_2d else "")
    local = volume.geometry.cropped(lesion.bbox_start, mask.shape)
    found: dict[str, Measurement] = (
        dict.fromkeys(SHAPE_FEATURES, missing(reason)) if reason else shape_features(mask, local)
    )
    found |= intensity_features(values[mask], volume.unit, bin_width)
    if texture:
        found |= texture_features(values, mask, bin_width)
    return found


def feature_records(
    table: LesionTable, of_lesion: Callable[[Lesion], Mapping[str, Measurement]]
) -> list[dict[str, Any]]:
    """One flat dict a lesion: id, label and every feature's value, None where it is missing."""
    return [
        {
            "id": lesion.id,
            "label_name": lesion.label_name,
            **{name: figure.value for name, figure in of_lesion(lesion).items()},
        }
        for lesion in table.lesions
    ]


def write_features_csv(records: list[dict[str, Any]], path: str | Path) -> None:
    """Write :func:`feature_records` as UTF-8 CSV; missing values are empty cells.

    Raises
    ------
    WriteError
        When `path` cannot be written.
    """
    columns = dict.fromkeys([*LESION_COLUMNS, *(name for record in records for name in record)])
    write_records(records, list(columns), path)
