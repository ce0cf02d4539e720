"""Whatever can be read to NIfTI, with a sidecar that tells what was noticed."""

from __future__ import annotations

import re
from pathlib import Path

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.volume import Volume
from napari_medcnn.io.formats import write_suffix
from napari_medcnn.io.read import read
from napari_medcnn.io.sidecar import write_sidecar
from napari_medcnn.io.write import write_volume

_LONGEST_NAME = 80


def convert(
    source: str | Path,
    out: str | Path,
    series: str | None = None,
    *,
    resample: bool = True,
    suv: bool = False,
) -> list[Path]:
    """Write every volume of a file or folder, and ``NAME.json`` beside each.

    Parameters
    ----------
    source : str or Path
        As in :func:`napari_medcnn.io.read.read`.
    out : str or Path
        A folder, which gets one ``NAME.nii.gz`` a volume; or one file with a suffix that can be
        written, when there is one volume.
    series : str, optional
        Only this series.
    resample : bool
        Without it, DICOM slices that form no right-angled, even grid are written as stored.
    suv : bool
        Whether PET becomes SUV by body weight where its tags allow it. By default values are as
        the files' own rescaling gives them, as other converters write them; the sidecar's `unit`
        tells.

    Returns
    -------
    list of Path
        The image files.

    Raises
    ------
    InputMismatch
        When `out` is one file and there are several volumes; they are listed.
    ReadError, WriteError
        When reading or writing fails.
    """
    out = Path(out)
    volumes = read(source, series, resample=resample, suv=suv)
    single = bool(write_suffix(out)) and not out.is_dir()
    if single and len(volumes) > 1:
        listed = "; ".join(_listed(volume) for volume in volumes)
        raise InputMismatch(
            f"holds {len(volumes)} volumes, and {out.name} takes one: {listed}",
            source=source,
            hint="choose one with --series, or name a folder",
        )
    paths = [out] if single else [out / f"{name}.nii.gz" for name in _file_names(volumes)]
    for volume, path in zip(volumes, paths, strict=True):
        write_volume(volume, path)
        write_sidecar(volume, path)
    return paths


def _listed(volume: Volume) -> str:
    size = " x ".join(str(n) for n in reversed(volume.array.shape))
    return f"{volume.name} ({size}), series {volume.source.series}"


def _file_names(volumes: list[Volume]) -> list[str]:
    """A file name for each, safe on every system and unique without regard to case."""
    taken: set[str] = set()
    names = []
    for volume in volumes:
        stem = re.sub(r"[^\w.-]+", "_", volume.name).strip("._")[:_LONGEST_NAME] or "volume"
        name, number = stem, 1
        while name.lower() in taken:
            number += 1
            name = f"{stem}_{number}"
        taken.add(name.lower())
        names.append(name)
    return names
