"""The public Python interface to files: images in, lesions and results out, without identities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_medcnn.core.classification import Classification
    from napari_medcnn.core.events import Event, JobControl
    from napari_medcnn.core.explanation import Explanation
    from napari_medcnn.core.lesion import LesionTable
    from napari_medcnn.core.segmentation import Segmentation
    from napari_medcnn.core.volume import Volume
    from napari_medcnn.io.deidentify.options import Options
    from napari_medcnn.io.deidentify.report import Report


def read(
    path: str | Path | Sequence[str | Path],
    series: str | None = None,
    *,
    resample: bool = True,
    suv: bool = True,
) -> list[Volume]:
    """Read every volume of a file or a folder.

    Parameters
    ----------
    path : str or Path, or a sequence of them
        A NIfTI, NRRD, MetaImage, PNG, JPEG or DICOM file, or a folder of them.
    series : str, optional
        Which one: a DICOM series' UID or number, or the name of a file in the folder.
    resample : bool
        Whether DICOM slices that form no right-angled, even grid are interpolated onto one; their
        findings say so. Without it they come as stored.
    suv : bool
        Whether PET becomes SUV by body weight where its tags allow it.

    Returns
    -------
    list of Volume
        At least one. Arrays are ``(z, y, x)`` and grow to Superior, Posterior, Left;
        ``geometry`` gives LPS millimetres, ``findings`` what was noticed.

    Raises
    ------
    ReadError
        When nothing can be read, with the reason.

    Examples
    --------
    >>> import napari_medcnn as mc
    >>> (volume,) = mc.read(mc.sample_path("ct_nodules"))
    >>> volume.array.shape == volume.geometry.shape
    True
    """
    from napari_medcnn.io.read import read as read_volumes

    return read_volumes(path, series, resample=resample, suv=suv)


def lesions(
    segmentation: Segmentation,
    volume: Volume,
    *,
    min_volume_mm3: float | None = None,
    accept_findings: bool = False,
) -> LesionTable:
    """Every connected component (26 neighbours) of every label, located and measured.

    Parameters
    ----------
    segmentation : Segmentation
        A model's or a person's.
    volume : Volume
        What it was made from.
    min_volume_mm3 : float, optional
        Smaller components are left out and counted; by default those below the model's advice,
        and none where no model made the label map. 0 keeps all.
    accept_findings : bool
        Measure although the reader found something that forbids it.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_medcnn as mc
    >>> from napari_medcnn.core.geometry import Geometry
    >>> from napari_medcnn.core.segmentation import Label, Segmentation
    >>> from napari_medcnn.core.volume import Volume
    >>> grid = Geometry.from_spacing((10, 20, 20), (3.0, 1.0, 1.0))
    >>> volume = Volume(np.zeros(grid.shape), grid)
    >>> drawn = np.zeros(grid.shape, np.uint8)
    >>> drawn[4:6, 5:9, 5:9] = 1
    >>> table = mc.lesions(Segmentation(drawn, grid, (Label(1, "lesion"),), volume.id), volume)
    >>> round(table.lesions[0].volume_mm3.value, 6)
    96.0
    """
    from napari_medcnn.imaging.lesions import find_lesions

    advised = segmentation.advised_min_volume_mm3
    return find_lesions(
        segmentation,
        volume,
        min_volume_mm3=advised if min_volume_mm3 is None else min_volume_mm3,
        accept_blocking=accept_findings,
    )


def write(
    result: Volume | Segmentation | LesionTable | Classification | Explanation,
    path: str | Path,
    *,
    volume: Volume | None = None,
    segmentation: Segmentation | None = None,
) -> Path:
    """Write an image or what was found in it, atomically; the suffix is the format.

    Parameters
    ----------
    result : Volume, Segmentation, LesionTable, Classification or Explanation
        Images and maps of explanations go to ``.nii``, ``.nii.gz``, ``.nrrd``, ``.mha``; label maps
        also to ``.seg.nrrd``; lesions and classes to ``.csv`` or ``.json``. Whatever lies on the
        image's grid is written on the exact grid of the file that the image came from.
    path : str or Path
        The file.
    volume : Volume, optional
        The image that `result` belongs to; needed for label maps, for maps and for ``.json``.
    segmentation : Segmentation, optional
        The label map that a table belongs to; needed for ``.json``.

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    WriteError
        When the suffix is unknown, something needed is not given, or the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import napari_medcnn as mc
    >>> (volume,) = mc.read(mc.sample_path("ct_nodules"))
    >>> mc.write(volume, Path(tempfile.mkdtemp()) / "copy.nrrd").name
    'copy.nrrd'
    """
    from napari_medcnn.app.write_result import write_result

    return write_result(result, path, volume, segmentation)


def deidentify(
    source: str | Path,
    out: str | Path,
    options: Options | None = None,
    *,
    on_event: Callable[[Event], None] | None = None,
    control: JobControl | None = None,
) -> Report:
    """Write DICOM files without the patient's identity (PS3.15 Annex E); pixels stay as they are.

    See :func:`napari_medcnn.io.deidentify.job.deidentify` for `source`, `out` and what it raises.

    Examples
    --------
    >>> import napari_medcnn as mc
    >>> from napari_medcnn.io.deidentify.options import Options
    >>> report = mc.deidentify("exports", "shared", Options())  # doctest: +SKIP
    """
    from napari_medcnn.core.events import run_to_end
    from napari_medcnn.io.deidentify.job import deidentify as deidentify_job
    from napari_medcnn.io.deidentify.report import Report

    return run_to_end(deidentify_job(source, out, options, control), Report, on_event)


def sample_path(key: str) -> Path:
    """The file of a sample image: ``flair_baseline``, ``flair_followup`` or ``ct_nodules``.

    Raises
    ------
    MedcnnError
        When there is no such sample.
    """
    from napari_medcnn.app.samples import sample_path as path_of

    return path_of(key)
