"""Any file or folder to volumes: the one door through which images come in."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from napari_medcnn.core.errors import GeometryError, ReadError
from napari_medcnn.core.volume import Finding, Severity, Volume
from napari_medcnn.io.dicom.series import read_dicom
from napari_medcnn.io.file_image import to_volume
from napari_medcnn.io.folder import files_in, walk
from napari_medcnn.io.formats import READABLE, Format, format_of
from napari_medcnn.io.labels import read_segmentation, read_segmentations
from napari_medcnn.io.single_file import read_image

__all__ = ["PEEKED_FILES", "is_readable", "read", "read_segmentation", "read_segmentations"]

PEEKED_FILES = 200
"""How many files of a folder :func:`is_readable` looks at before it gives up."""


def read(
    path: str | Path | Sequence[str | Path],
    series: str | None = None,
    *,
    resample: bool = True,
    suv: bool = True,
) -> list[Volume]:
    """Read every volume of a file or a folder.

    A folder gives the DICOM series in it and in the folders below it, and the NIfTI, NRRD and
    MetaImage files directly in it; pictures only when there is nothing else. Files that cannot be
    read are told in the findings of the volumes beside them.

    Parameters
    ----------
    path : str or Path, or a sequence of them
        A NIfTI, NRRD, MetaImage, PNG, JPEG or DICOM file, or a folder; or the files of one.
    series : str, optional
        Which one: a DICOM series' UID or number, or the name of a file in the folder. A volume's
        own ``source.series`` always works. No other DICOM series' pixels are decoded.
    resample : bool
        Whether DICOM slices that form no right-angled, even grid are interpolated onto one, which
        their findings then say. Without it they come as stored: a tilted stack sheared, an uneven
        one as a volume for each even run.
    suv : bool
        Whether PET becomes SUV by body weight where its tags allow it. Without it values are as
        the files' rescaling gives them.

    Returns
    -------
    list of Volume
        At least one; in canonical orientation, with the way back to the file in ``source``.

    Raises
    ------
    ReadError
        When nothing can be read, with the reason.

    Examples
    --------
    >>> volume, = read("flair.nii.gz")  # doctest: +SKIP
    >>> volume.geometry.spacing  # doctest: +SKIP
    (1.0, 1.0, 1.0)
    """
    options = _Options(series, resample, suv)
    if not isinstance(path, str | Path):
        files = [Path(file) for file in path]
        return _of_series(_read_files(files, _common_folder(files), options), series, files[0])
    path = Path(path)
    if not path.exists():
        raise ReadError("does not exist", source=path, hint="check the path")
    if path.is_dir():
        volumes = _read_folder(path, options)
    elif not path.is_file():
        raise ReadError("is no regular file", source=path)
    elif path.name.upper() == "DICOMDIR":
        volumes = _read_folder(path.parent, options)
    else:
        volumes = _read_file(path, options)
    return _of_series(volumes, series, path)


@dataclass(frozen=True)
class _Options:
    series: str | None
    resample: bool
    suv: bool

    def dicom(self, paths: list[Path], origin: Path, *, any_series: bool = False) -> list[Volume]:
        """Read DICOM files; `any_series` where the wanted one is no DICOM series."""
        wanted = None if any_series else self.series
        return read_dicom(paths, origin, wanted, resample=self.resample, suv=self.suv)


def is_readable(path: str | Path) -> bool:
    """Whether :func:`read` is worth trying: a quick look at names and first bytes. Never raises."""
    try:
        path = Path(path)
        if path.is_file():
            return path.name.upper() == "DICOMDIR" or format_of(path) is not None
        if path.is_dir():
            inside = (file for file, escapes in walk(path) if not escapes)
            return any(format_of(file) is not None for file in islice(inside, PEEKED_FILES))
    except (OSError, ValueError, TypeError):
        return False
    return False


def _read_file(path: Path, options: _Options) -> list[Volume]:
    found = format_of(path)
    if found is None:
        what = "is empty" if path.stat().st_size == 0 else "is not an image of a known format"
        raise ReadError(what, source=path, hint=READABLE)
    if found is Format.DICOM:
        return options.dicom([path], path)
    return [_plain_volume(path)]


def _plain_volume(path: Path) -> Volume:
    image = read_image(path)
    try:
        return to_volume(image, path, path.name)
    except GeometryError as error:
        raise ReadError(f"its grid is broken: {error.what}", source=path) from error


def _read_folder(folder: Path, options: _Options) -> list[Volume]:
    found = files_in(folder)
    volumes = _read_files(list(found.files), folder, options)
    if not found.escaping:
        return volumes
    text = (
        f"{found.escaping} links lead to files outside of the folder and were not followed; open "
        "those files themselves."
    )
    finding = Finding("links-not-followed", Severity.WARNING, text)
    return [replace(v, findings=(*v.findings, finding)) for v in volumes]


def _common_folder(files: list[Path]) -> Path:
    if not files:
        raise ReadError("no files were named", hint="name at least one")
    return Path(os.path.commonpath([file.resolve().parent for file in files]))


def _read_files(files: list[Path], folder: Path, options: _Options) -> list[Volume]:
    """Volumes of files at or below a folder; of plain images only those directly in it."""
    by_format: dict[Format | None, list[Path]] = defaultdict(list)
    for file in files:
        by_format[format_of(file)].append(file)
    images = [
        file
        for kind in (Format.NIFTI, Format.NRRD, Format.METAIMAGE)
        for file in by_format[kind]
        if file.parent == folder
    ]
    if not images and not by_format[Format.DICOM]:
        images = [file for file in by_format[Format.PICTURE] if file.parent == folder]
    volumes, refused = _read_each(_matching(images, options.series))
    if by_format[Format.DICOM]:
        # Files of no known format are counted beside the series as left out.
        candidates = sorted(by_format[Format.DICOM] + by_format[None])
        try:
            volumes += options.dicom(candidates, folder, any_series=bool(volumes))
        except ReadError as error:
            if not volumes:
                raise
            refused.append(error.what)
    if not volumes:
        raise ReadError(
            "; ".join(refused) or f"no image among its {len(files)} files",
            source=folder,
            hint="choose the folder that holds the images. " + READABLE,
        )
    if refused:
        text = "Not read: " + "; ".join(refused)
        finding = Finding("files-refused", Severity.WARNING, text)
        volumes = [replace(v, findings=(*v.findings, finding)) for v in volumes]
    return volumes


def _read_each(paths: list[Path]) -> tuple[list[Volume], list[str]]:
    volumes: list[Volume] = []
    refused: list[str] = []
    for path in paths:
        try:
            volumes.append(_plain_volume(path))
        except ReadError as error:
            refused.append(f"{path.name}: {error.what}")
    return volumes, refused


def _matching(paths: list[Path], series: str | None) -> list[Path]:
    """The files that a series' name means; all of them when it may mean a DICOM series."""
    named = [path for path in paths if series is not None and _is_named(path.name, series)]
    return named or paths


def _is_named(name: str, series: str) -> bool:
    return name == series or name.split(".", maxsplit=1)[0] == series


def _of_series(volumes: list[Volume], series: str | None, path: Path) -> list[Volume]:
    if series is None:
        return volumes
    chosen = [v for v in volumes if _is_chosen(v, series)]
    if not chosen:
        names = ", ".join(volume.name for volume in volumes)
        raise ReadError(f"has no series {series!r}", source=path, hint=f"there are: {names}")
    return chosen


def _is_chosen(volume: Volume, series: str) -> bool:
    source = volume.source
    if source.format != Format.DICOM:
        return _is_named(source.series, series) or volume.name == series
    number = str(source.header.get("series_number"))
    return series in (source.series, source.series.split("#", maxsplit=1)[0], number, volume.name)
