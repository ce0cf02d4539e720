"""A case: its name, and where its image lies, or one image for each channel of a model."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_medcnn.core.errors import InputMismatch, MedcnnError, ReadError
from napari_medcnn.core.volume import Volume
from napari_medcnn.models.spec import ModelSpec

Inputs = str | Path | Sequence[str | Path]

LONGEST_ID = 120
"""Characters; file systems allow 255 bytes, and people read the beginning."""

_DETACHED = (".nhdr", ".mhd")

_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]+')


@dataclass(frozen=True)
class ImageSource:
    """Where one image lies.

    Parameters
    ----------
    paths : tuple of Path
        A file or a folder; or all files of one series.
    series : str, optional
        Which volume, where `paths` hold several.
    channel : str
        The model's channel that it is for; ``""`` where the order tells.
    """

    paths: tuple[Path, ...]
    series: str | None = None
    channel: str = ""

    @property
    def name(self) -> str:
        """The file's or folder's name, without the folders above it."""
        return self.paths[0].name if len(self.paths) == 1 else self.paths[0].parent.name

    def files(self) -> tuple[Path, ...]:
        """Every file of it.

        Raises
        ------
        ReadError
            When there is none.
        """
        from napari_medcnn.io.folder import files_in

        if len(self.paths) == 1 and self.paths[0].is_dir():
            return files_in(self.paths[0]).files
        return self.paths


@dataclass(frozen=True)
class Case:
    """One case of a run.

    Parameters
    ----------
    id : str
        Names its results' folder; unique among the cases of a batch.
    images : tuple of ImageSource
        One, or one a channel of the model.

    Raises
    ------
    MedcnnError
        When the id cannot name a folder, or there is no image.
    """

    id: str
    images: tuple[ImageSource, ...]

    def __post_init__(self) -> None:
        if self.id != safe_id(self.id):
            raise MedcnnError(
                f"{self.id!r} cannot name a folder for results",
                hint="use letters, digits, spaces, - and _",
            )
        if not self.images:
            raise MedcnnError("has no image", source=self.id)

    def ordered_for(self, spec: ModelSpec) -> tuple[ImageSource, ...]:
        """Its images in the order of the model's channels.

        Raises
        ------
        InputMismatch
            When images are named after channels that the model does not have, or one is missing.
        """
        from napari_medcnn.models.channels import order_channels

        named = [image for image in self.images if image.channel]
        if not named:
            return self.images
        if len(named) < len(self.images):
            raise InputMismatch(
                "some of its images name their channel and some do not", source=self.id
            )
        return tuple(order_channels(spec, {image.channel: image for image in named}))


def case_of(inputs: Inputs, id: str = "", series: str | None = None) -> Case:  # noqa: A002
    """The case of a file or folder, or of one path a channel in the model's order."""
    paths = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    images = tuple(ImageSource((Path(path),), series) for path in paths)
    name = id or (safe_id(plain_name(images[0].paths[0])) if images else "case")
    return Case(name, images)


def cases_of(paths: Sequence[Path], series: str | None = None) -> tuple[Case, ...]:
    """A case for each file or folder, called after it; equal names get numbers in their order."""
    cases: list[Case] = []
    taken: set[str] = set()
    for path in paths:
        stem = safe_id(plain_name(path))
        name, number = stem, 2
        while name.casefold() in taken:  # many file systems take A and a for the same
            name, number = f"{stem}_{number}", number + 1
        taken.add(name.casefold())
        cases.append(case_of(path, name, series))
    return tuple(cases)


def plain_name(path: Path) -> str:
    """The name of a file or folder without the suffixes of image files."""
    name = path.resolve().name
    for suffix in (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm"):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name


def safe_id(text: str) -> str:
    """The text as it can name a folder on every system."""
    safe = _UNSAFE.sub("_", text.strip()).lstrip(".")[:LONGEST_ID].rstrip(" .")
    return safe or "case"


def one_volume(source: str | Path | ImageSource, series: str | None = None) -> Volume:
    """The only volume of a file, a folder or an image's source.

    Raises
    ------
    ReadError
        When there are several; the hint lists them.
    """
    from napari_medcnn.io.read import read

    if not isinstance(source, ImageSource):
        source = ImageSource((Path(source),), series)
    path = source.paths[0] if len(source.paths) == 1 else None
    volumes = read(path or source.paths, source.series)
    if len(volumes) > 1:
        names = "; ".join(f"{v.name} (series {v.source.series})" for v in volumes)
        raise ReadError(
            f"holds {len(volumes)} volumes",
            source=path or source.name,
            hint=f"choose a series: {names}",
        )
    return volumes[0]


def require_measurable(volume: Volume, accept_findings: bool) -> None:
    """Refuse a volume with findings that forbid measuring, unless the user accepts them.

    Raises
    ------
    InputMismatch
        With the findings' texts.
    """
    if volume.blocking_findings and not accept_findings:
        raise InputMismatch(
            "must not be measured unseen: " + " ".join(f.text for f in volume.blocking_findings),
            source=volume.source.path or volume.name,
            hint="look at it, then accept the findings",
        )


def stamp(images: Sequence[ImageSource]) -> str:
    """A hash of which files these are, by name, size and time: it changes when one is touched.

    Nothing is read but the folders, so that a batch finds out in no time what it did before; names
    go into the hash only, because they may tell who the patient is.

    Raises
    ------
    ReadError
        When a file is not there.
    """
    digest = hashlib.blake2b(digest_size=20)
    for image in images:
        digest.update(f"image {image.series}\n".encode())
        for file in _with_voxels(image.files()):
            try:
                state = file.stat()
            except OSError as error:
                raise ReadError(
                    "does not exist"
                    if isinstance(error, FileNotFoundError)
                    else f"cannot be read: {error.strerror or error}",
                    source=file,
                    hint="check the path",
                ) from error
            line = f"{file.name} {state.st_size} {state.st_mtime_ns}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _with_voxels(files: Sequence[Path]) -> list[Path]:
    """The files, and those of voxels beside a header of its own."""
    found: list[Path] = []
    for file in files:
        found.append(file)
        if file.suffix.lower() in _DETACHED:
            found += sorted(other for other in file.parent.glob(f"{file.stem}.*") if other != file)
    return found
