"""Volumes and label maps to files, on the exact grid of the file that they came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import GeometryError, WriteError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.io.dicom_objects.export import DicomResult, kind_of, write_dicom
from napari_medcnn.io.formats import WRITE_SUFFIXES, write_suffix
from napari_medcnn.io.itk import write_itk
from napari_medcnn.io.nifti import write_nifti
from napari_medcnn.io.seg_nrrd import write_seg_nrrd
from napari_medcnn.io.voxels import stored_as

_NIFTI_SUFFIXES = (".nii", ".nii.gz")
_NO_DISPLAY_RANGE = {"cal_max": 0.0, "cal_min": 0.0}


def write_volume(volume: Volume, path: str | Path) -> Path:
    """Write a volume in the axis order and on the grid of its source, atomically.

    Voxel values are kept exactly; they are stored in the type of the source file where that holds
    them, else in the volume's own. A NIfTI that came from a NIfTI keeps its sform, qform and
    units as they were. A volume that was resampled while reading stays on its resampled grid.

    Parameters
    ----------
    volume : Volume
        With frames, the file has four dimensions.
    path : str or Path
        Ending in ``.nii``, ``.nii.gz``, ``.nrrd`` or ``.mha``.

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    WriteError
        When the suffix is unknown or the file cannot be written.
    """
    path = Path(path)
    array, geometry = volume.on_source_grid(volume.array)
    array = stored_as(array, str(volume.source.header.get("dtype", "")))
    if write_suffix(path) == ".seg.nrrd":
        raise WriteError(
            "a .seg.nrrd holds segments, not an image", source=path, hint="use .nrrd or .nii.gz"
        )
    _write(path, array, geometry, volume, volume.source.header.get("nifti"))
    return path


def write_segmentation(segmentation: Segmentation, volume: Volume, path: str | Path) -> Path:
    """Write a label map on the grid of the volume's source, atomically.

    ``.seg.nrrd`` (3D Slicer) keeps names and colours of the labels; the other formats hold the
    label values alone, in the smallest unsigned type that fits.

    Parameters
    ----------
    segmentation : Segmentation
        On the grid of `volume`.
    volume : Volume
        The image that was segmented.
    path : str or Path
        Ending in ``.nii``, ``.nii.gz``, ``.nrrd``, ``.mha`` or ``.seg.nrrd``; for volumes from
        DICOM also in ``.seg.dcm``, ``.labelmap.dcm`` or ``.rtstruct.dcm``.

    Raises
    ------
    GeometryError
        When the label map is not on the volume's grid.
    WriteError
        When the suffix is unknown or the file cannot be written.
    """
    path = Path(path)
    if not segmentation.geometry.is_close(volume.geometry):
        raise GeometryError("the label map is not on the grid of the volume", source=volume.name)
    if kind_of(path):
        write_dicom(DicomResult(segmentation, volume), path)
        return path
    labels, geometry = volume.on_source_grid(segmentation.array)
    labels = np.ascontiguousarray(labels, dtype=np.min_scalar_type(int(labels.max())))
    if write_suffix(path) == ".seg.nrrd":
        write_seg_nrrd(path, labels, geometry, segmentation)
    else:
        kept = volume.source.header.get("nifti")
        _write(path, labels, geometry, volume, kept and {**kept, **_NO_DISPLAY_RANGE})
    return path


def _write(
    path: Path,
    array: npt.NDArray[Any],
    geometry: Geometry,
    volume: Volume,
    kept: dict[str, Any] | None,
) -> None:
    suffix = write_suffix(path)
    if not suffix:
        raise WriteError(
            "its suffix names no format that can be written",
            source=path,
            hint="use one of " + ", ".join(WRITE_SUFFIXES),
        )
    if suffix not in _NIFTI_SUFFIXES:
        write_itk(path, array, geometry)
        return
    # A two-dimensional file's geometry fields say nothing about a third axis.
    if kept is not None and volume.source.header.get("dimensions") == 2 and array.ndim == 3:
        array = array[0]
    write_nifti(path, array, geometry, kept=kept, time_step_s=_time_step(volume))


def _time_step(volume: Volume) -> float:
    frames = volume.frames
    if frames is None or frames.unit != "s" or len(frames.values) < 2:
        return 0.0
    return frames.values[1] - frames.values[0]
