"""NIfTI-1 and NIfTI-2 in and out, by nibabel.

SimpleITK is not used for this format: writing, it drifts directions by 2e-5, changes sform codes,
and refuses sheared grids, which tilted scanners' conversions have. A file's own geometry fields
are kept as they stand and written back, so every program places a result as it placed its source.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.atomic import replacing
from napari_medcnn.core.errors import GeometryError, ReadError, WriteError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Finding, FrameAxis, Severity
from napari_medcnn.io.file_image import ORIENTATION_UNKNOWN, FileImage
from napari_medcnn.io.limits import check_claimed_size
from napari_medcnn.io.voxels import grey, non_finite_findings, rescaled

if TYPE_CHECKING:
    import nibabel

FORM_TOLERANCE_MM = 0.1
"""sform and qform that place a voxel further apart than this are reported.

Quaternions are stored in 32 bits, which alone moves far voxels by some hundredths of a mm."""

_MILLIMETRES = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}
_SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}
_KEPT_FIELDS = (
    "dim_info", "pixdim", "xyzt_units", "qform_code", "sform_code", "quatern_b", "quatern_c",
    "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z",
    "cal_max", "cal_min",
)  # fmt: skip
_MAX_NIFTI1_SIDE = 32767


@dataclass(frozen=True, eq=False)
class _Placement:
    geometry: Geometry
    findings: tuple[Finding, ...]


def read_nifti(path: Path) -> FileImage:
    """Read a NIfTI-1 or -2 file, single (``.nii``) or compressed (``.nii.gz``).

    Slope and intercept are applied, units converted to mm, two-dimensional images given one z,
    and a fourth axis kept as frames. sform is preferred to qform. Without a code for either, axes
    are taken as LPS from voxel 0 (as ITK does) and a finding says so.

    Raises
    ------
    ReadError
        When the file is no NIfTI, truncated, or of a kind that is no scalar or colour image.
    """
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        image = nibabel.load(path)
        if not isinstance(image, nibabel.Nifti1Image):
            raise ReadError("is not a NIfTI file", source=path)
        _check_size(image, path)
        stored, frames = _frames_first(image, path)
        placement = _placement(image.header, stored.shape[-3:])
        colour_findings: tuple[Finding, ...] = ()
        if stored.dtype.fields:
            channels = np.stack([stored[name] for name in ("R", "G", "B")], axis=-1)
            array, colour_findings = grey(channels)
        else:
            array = rescaled(stored, *_slope(image))
    except GeometryError as error:
        raise ReadError(f"its header is broken: {error.what}", source=path) from error
    except (OSError, EOFError, ValueError, zlib.error, ImageFileError,
            HeaderDataError, OverflowError) as error:  # fmt: skip
        raise ReadError(
            f"cannot be read as NIfTI: {_without_path(error, path)}",
            source=path,
            hint="the file may be truncated or of another format",
        ) from error
    return FileImage(
        array=array,
        geometry=placement.geometry,
        format="nifti",
        name=path.name.removesuffix(".gz").removesuffix(".nii"),
        frames=frames,
        header={
            "nifti": _kept_header(image.header),
            "dtype": _plain_dtype(stored),
            "dimensions": len(image.header.get_data_shape()),
        },
        findings=(*placement.findings, *colour_findings, *non_finite_findings(array)),
    )


def _without_path(error: Exception, path: Path) -> str:
    """What a library says of a file, which the user reads beside the file's name anyway."""
    text = getattr(error, "strerror", None) or str(error)
    for name in (f'"{path}"', f"'{path}'", str(path)):
        text = text.replace(name, "")
    return " ".join(text.replace("File  is", "it is").split()).removesuffix(" of").rstrip(" :")


def write_nifti(
    path: Path,
    array: npt.NDArray[Any],
    geometry: Geometry,
    *,
    kept: dict[str, Any] | None = None,
    time_step_s: float = 0.0,
) -> None:
    """Write an array in a file's axis order, atomically.

    Parameters
    ----------
    path : Path
        Ending in ``.nii`` or ``.nii.gz``.
    array : numpy.ndarray
        ``(z, y, x)``, ``(frame, z, y, x)``, or ``(y, x)`` of one slice; stored in its own dtype.
    geometry : Geometry
        Of the last three axes; may be sheared, then only the sform is written.
    kept : dict, optional
        ``header["nifti"]`` of a source with this very grid: its geometry fields are written back.
    time_step_s : float
        Distance of frames in seconds where that is what they are.

    Raises
    ------
    WriteError
        When the file cannot be written or NIfTI has no such type.
    """
    import nibabel
    from nibabel.spatialimages import HeaderDataError

    large = max(array.shape) > _MAX_NIFTI1_SIDE
    kind = nibabel.Nifti2Image if large else nibabel.Nifti1Image
    try:
        image = kind(array.T, None, dtype=array.dtype)
    except (ValueError, HeaderDataError) as error:
        raise WriteError(f"NIfTI cannot hold {array.dtype}: {error}", source=path) from error
    header = image.header
    if kept is None:
        _place(header, geometry, time_step_s)
    else:
        for name, value in kept.items():
            header[name] = value
    with replacing(path) as temporary:
        image.to_filename(temporary)


def _check_size(image: nibabel.Nifti1Image, path: Path) -> None:
    shape = image.header.get_data_shape()
    if not shape or min(shape) < 1:
        raise ReadError(f"its header is broken: an image of {shape} voxels", source=path)
    claimed = int(np.prod([int(n) for n in shape], dtype=object)) * image.get_data_dtype().itemsize
    compressed = path.name.lower().endswith(".gz")
    offset = 0 if compressed else int(image.dataobj.offset)
    check_claimed_size(path, claimed, path.stat().st_size - offset, compressed=compressed)


def _frames_first(
    image: nibabel.Nifti1Image, path: Path
) -> tuple[npt.NDArray[Any], FrameAxis | None]:
    stored = np.asanyarray(image.dataobj.get_unscaled()).T
    if stored.dtype.kind not in "iufV":
        raise ReadError(f"holds {stored.dtype} values, which are no image", source=path)
    # NIfTI's axes are x, y, z, time, component; trailing ones count nothing.
    while stored.ndim > 3 and stored.shape[0] == 1:
        stored = stored[0]
    if stored.ndim < 3:
        return stored.reshape((1,) * (3 - stored.ndim) + stored.shape), None
    if stored.ndim == 3:
        return stored, None
    leading = [n for n in stored.shape[:-3] if n > 1]
    if len(leading) > 1:
        raise ReadError(
            f"has {len(leading) + 3} dimensions", source=path, hint="split it into 4D images"
        )
    is_component = stored.ndim > 4
    stored = stored.reshape(-1, *stored.shape[-3:])
    return stored, FrameAxis("component") if is_component else _time_axis(image, len(stored))


def _time_axis(image: nibabel.Nifti1Image, count: int) -> FrameAxis:
    unit = _units(image.header)[1]
    step = float(image.header["pixdim"][4])
    if unit in _SECONDS and np.isfinite(step) and step > 0:
        values = tuple(round(index * step * _SECONDS[unit], 9) for index in range(count))
        return FrameAxis("time", values, "s")
    return FrameAxis("frame")


def _units(header: nibabel.Nifti1Header) -> tuple[str, str]:
    try:
        space, time = header.get_xyzt_units()
    except KeyError:  # a code that the standard does not know
        return "unknown", "unknown"
    return str(space), str(time)


def _slope(image: nibabel.Nifti1Image) -> tuple[float, float]:
    slope, intercept = float(image.dataobj.slope), float(image.dataobj.inter)
    return slope, intercept


def _placement(header: nibabel.Nifti1Header, shape: tuple[int, ...]) -> _Placement:
    unit = _units(header)[0]
    factor = _MILLIMETRES.get(unit, 1.0)
    findings: list[Finding] = []
    if factor != 1.0:
        text = f"The file counts in {unit}s; positions were converted to mm."
        findings.append(Finding("units-converted", Severity.INFO, text))
    forms = {name: _form(header, name, shape, factor) for name in ("sform", "qform")}
    usable = [form for form in forms.values() if form is not None]
    broken = [f for f in forms if int(header[f"{f}_code"]) > 0 and forms[f] is None]
    if broken and not usable:
        raise GeometryError(f"its {' and '.join(broken)} is no affine that spans space")
    if broken:
        text = f"The {broken[0]} of the file is broken; the other placement is used."
        findings.append(Finding("broken-placement", Severity.WARNING, text))
    if not usable:
        findings.append(ORIENTATION_UNKNOWN)
        x, y, z = (abs(float(size)) * factor or 1.0 for size in header["pixdim"][1:4])
        return _Placement(Geometry.from_spacing(_zyx(shape), (z, y, x)), tuple(findings))
    if len(usable) == 2 and usable[0].max_distance_mm(usable[1]) > FORM_TOLERANCE_MM:
        text = (
            f"sform (code {int(header['sform_code'])}) and qform (code "
            f"{int(header['qform_code'])}) place voxels up to "
            f"{usable[0].max_distance_mm(usable[1]):.1f} mm apart; the sform is used. Other "
            "programs may use the qform."
        )
        findings.append(Finding("sform-qform-disagree", Severity.WARNING, text))
    return _Placement(usable[0], tuple(findings))


def _form(
    header: nibabel.Nifti1Header, name: str, shape: tuple[int, ...], factor: float
) -> Geometry | None:
    """The grid by sform or qform; None without a code, or where it spans no space."""
    from nibabel.spatialimages import HeaderDataError

    if int(header[f"{name}_code"]) <= 0:
        return None
    try:
        if name == "sform":
            affine = np.array(header.get_sform(), dtype=np.float64)
        else:
            with_depth = header.copy()
            # A 2D file may leave its third voxel size at 0, which a quaternion multiplies.
            sizes = with_depth["pixdim"][1:4]
            with_depth["pixdim"][1:4] = np.where(sizes == 0, 1, sizes)
            affine = np.array(with_depth.get_qform(), dtype=np.float64)
        if shape[0] == 1 and not affine[:3, 2].any():
            normal = np.cross(affine[:3, 0], affine[:3, 1])
            affine[:3, 2] = normal / (np.linalg.norm(normal) or 1.0)
        affine[:3] *= factor
        return Geometry.from_ras_affine(_zyx(shape), affine)
    except (GeometryError, ValueError, HeaderDataError):
        return None


def _zyx(shape: tuple[int, ...]) -> tuple[int, int, int]:
    z, y, x = shape
    return z, y, x


def _kept_header(header: nibabel.Nifti1Header) -> dict[str, Any]:
    return {name: np.asarray(header[name]).tolist() for name in _KEPT_FIELDS}


def _plain_dtype(stored: npt.NDArray[Any]) -> str:
    return "" if stored.dtype.fields else str(stored.dtype.newbyteorder("="))


def _place(header: nibabel.Nifti1Header, geometry: Geometry, time_step_s: float) -> None:
    affine = geometry.to_ras_affine()
    header.set_xyzt_units("mm", "sec")
    header.set_zooms(
        (*reversed(geometry.spacing), *([time_step_s] * (len(header.get_data_shape()) - 3)))
    )
    header.set_sform(affine, code="scanner")
    if geometry.is_sheared:
        header["qform_code"] = 0
    else:
        header.set_qform(affine, code="scanner")
