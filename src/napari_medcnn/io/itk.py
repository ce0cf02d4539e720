"""NRRD and MetaImage in and out, by SimpleITK."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.atomic import replacing
from napari_medcnn.core.errors import GeometryError, ReadError, WriteError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Finding, FrameAxis
from napari_medcnn.io.detached import (
    metaimage_data_file,
    metaimage_header,
    nrrd_data_file,
    nrrd_header,
)
from napari_medcnn.io.file_image import ORIENTATION_UNKNOWN, FileImage
from napari_medcnn.io.header_checks import check_metaimage, check_nrrd
from napari_medcnn.io.limits import check_claimed_size
from napari_medcnn.io.voxels import grey, narrowed, non_finite_findings

if TYPE_CHECKING:
    import SimpleITK as sitk

_PATIENT_SPACES = ("left-posterior-superior", "lps", "right-anterior-superior", "ras",
                   "left-anterior-superior", "las")  # fmt: skip
_MAX_DIMENSIONS = 4


def read_nrrd(path: Path) -> FileImage:
    """Read a ``.nrrd`` or ``.nhdr`` file with two to four dimensions.

    A vector axis becomes frames, red-green-blue becomes grey with a finding. Key/value pairs that
    the file adds (not NRRD's own fields) are kept in ``header["keys"]`` only where they describe
    segments.

    Raises
    ------
    ReadError
        When the file is none, is truncated, or names a data file elsewhere.
    """
    header = nrrd_header(path)
    data = nrrd_data_file(path, header)
    _refuse_other_units(path, header.get("space units", ""))
    compressed = header.get("encoding", "raw").lower() in ("gzip", "gz", "bzip2", "bz2")
    text = header.get("encoding", "raw").lower() in ("ascii", "text", "txt", "hex")
    findings: tuple[Finding, ...] = ()
    known = header.get("space", "").lower() in _PATIENT_SPACES
    # ITK writes four-dimensional images with a space dimension instead of a named space.
    if not known and header.get("space dimension") != "4":
        findings = (ORIENTATION_UNKNOWN,)
    keys = {name: value for name, value in header.items() if name.startswith("seg")}
    check_nrrd(path, header, data.stat().st_size, compressed=compressed or text)
    image = _read(path, "NrrdImageIO", data, compressed=compressed or text)
    return _file_image(path, image, "nrrd", findings, {"keys": keys} if keys else {})


def read_metaimage(path: Path) -> FileImage:
    """Read a ``.mha`` or ``.mhd`` file with two to four dimensions; as :func:`read_nrrd`."""
    header = metaimage_header(path)
    data = metaimage_data_file(path, header)
    compressed = header.get("CompressedData", "False").lower() == "true"
    text = header.get("BinaryData", "True").lower() == "false"
    check_metaimage(path, header, data.stat().st_size, compressed=compressed or text)
    image = _read(path, "MetaImageIO", data, compressed=compressed or text)
    return _file_image(path, image, "metaimage", (), {})


def write_itk(
    path: Path,
    array: npt.NDArray[Any],
    geometry: Geometry,
    *,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write an array in a file's axis order as NRRD or MetaImage, compressed, atomically.

    Parameters
    ----------
    path : Path
        Ending in ``.nrrd`` or ``.mha``.
    array : numpy.ndarray
        ``(z, y, x)`` or ``(frame, z, y, x)``.
    geometry : Geometry
        Of the last three axes; not sheared.
    metadata : mapping, optional
        Key/value pairs to write into a NRRD header.

    Raises
    ------
    WriteError
        When the file cannot be written or the type cannot be stored.
    """
    import SimpleITK as sitk

    fields = geometry.to_sitk()
    spacing, origin, direction = fields["spacing"], fields["origin"], fields["direction"]
    try:
        image = sitk.GetImageFromArray(np.ascontiguousarray(array), isVector=False)
    except (KeyError, TypeError) as error:
        raise WriteError(f"{path.suffix} cannot hold {array.dtype} voxels", source=path) from error
    if array.ndim == _MAX_DIMENSIONS:
        matrix = np.eye(_MAX_DIMENSIONS)
        matrix[:3, :3] = np.reshape(direction, (3, 3))
        spacing, origin = (*spacing, 1.0), (*origin, 0.0)
        direction = tuple(matrix.ravel().tolist())
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(direction)
    for name, value in (metadata or {}).items():
        image.SetMetaData(name, value)
    with replacing(path) as temporary:
        try:
            sitk.WriteImage(image, str(temporary), useCompression=True)
        except RuntimeError as error:
            raise WriteError(f"cannot be written: {_reason(error)}", source=path) from error


def _read(path: Path, image_io: str, data: Path, *, compressed: bool) -> sitk.Image:
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetImageIO(image_io)
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        # The sizes are products of what the header says: Python's integers do not overflow.
        claimed = int(np.prod([int(n) for n in reader.GetSize()], dtype=object))
        claimed *= reader.GetNumberOfComponents() * _bytes_per_value(reader.GetPixelID())
        check_claimed_size(path, claimed, data.stat().st_size, compressed=compressed)
        return reader.Execute()
    except RuntimeError as error:
        raise ReadError(
            f"cannot be read: {_reason(error)}",
            source=path,
            hint="the file may be truncated or of another format",
        ) from error


def _file_image(
    path: Path,
    image: sitk.Image,
    format_name: str,
    findings: tuple[Finding, ...],
    header: dict[str, Any],
) -> FileImage:
    import SimpleITK as sitk

    dimensions, components = image.GetDimension(), image.GetNumberOfComponentsPerPixel()
    if dimensions > _MAX_DIMENSIONS or (dimensions == _MAX_DIMENSIONS and components > 1):
        raise ReadError(f"has {dimensions} dimensions of {components} components", source=path)
    stored = sitk.GetArrayFromImage(image)
    if stored.dtype.kind not in "iufb":
        raise ReadError(f"holds {stored.dtype} values, which are no image", source=path)
    dtype = str(stored.dtype)
    if dimensions == 2:
        stored = stored[np.newaxis]
    frames = FrameAxis("frame") if dimensions == _MAX_DIMENSIONS else None
    if components in (3, 4) and _is_colour(image, stored):
        stored, colour_findings = grey(stored)
        findings = (*findings, *colour_findings)
    elif components > 1:
        stored, frames = np.moveaxis(stored, -1, 0), FrameAxis("component")
    if frames is not None and len(stored) == 1:
        stored, frames = stored[0], None
    array = narrowed(stored)
    try:
        geometry = _geometry(image)
    except GeometryError as error:
        raise ReadError(f"its header is broken: {error.what}", source=path) from error
    return FileImage(
        array=array,
        geometry=geometry,
        format=format_name,
        name=re.sub(r"(\.seg)?\.(nrrd|nhdr|mha|mhd)$", "", path.name, flags=re.IGNORECASE),
        frames=frames,
        header={**header, "dtype": dtype},
        findings=(*findings, *non_finite_findings(array)),
    )


def _geometry(image: sitk.Image) -> Geometry:
    size, spacing = list(image.GetSize()), list(image.GetSpacing())
    origin, count = list(image.GetOrigin()), image.GetDimension()
    matrix = np.eye(3)
    used = min(count, 3)
    matrix[:used, :used] = np.reshape(image.GetDirection(), (count, count))[:used, :used]
    if count == 2:
        size, spacing, origin = [*size, 1], [*spacing, 1.0], [*origin, 0.0]
    return Geometry.from_sitk(
        tuple(size[:3]), tuple(spacing[:3]), tuple(origin[:3]), tuple(matrix.ravel().tolist())
    )


def _is_colour(image: sitk.Image, stored: npt.NDArray[Any]) -> bool:
    """Whether components are red, green, blue: bytes, and not declared to be a vector."""
    kind = "NRRD_kinds[pixel]"
    declared = image.GetMetaData(kind) if image.HasMetaDataKey(kind) else ""
    return stored.dtype == np.uint8 and "vector" not in declared and "list" not in declared


def _refuse_other_units(path: Path, units: str) -> None:
    named = {unit.lower() for unit in re.findall(r'"([^"]*)"', units)} - {""}
    if not named <= {"mm", "millimeter", "millimeters", "s", "none", "???"}:
        raise ReadError(
            f"counts in {', '.join(sorted(named))}, not in mm",
            source=path,
            hint="convert it with the program that wrote it",
        )


def _bytes_per_value(pixel_id: int) -> int:
    import SimpleITK as sitk

    name = sitk.GetPixelIDValueAsString(pixel_id)
    if "float" in name:
        return 8 if "64" in name else 4
    bits = re.search(r"\d+", name)
    return int(bits.group()) // 8 if bits else 1


def _reason(error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][-200:] if lines else "unknown reason"
