"""Splits as JSON files; one that was edited is held to what every split has to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from napari_medcnn.core.errors import ReadError
from napari_medcnn.training.manifest import Manifest, Split
from napari_medcnn.training.split_checks import listed, require_usable
from napari_medcnn.training.versioned_json import read_versioned, write_versioned

FORMAT = "medcnn-split"
SCHEMA = 1


@dataclass(frozen=True)
class _SplitFile:
    splits: tuple[Split, ...]


def write_splits(splits: Sequence[Split], path: str | Path) -> None:
    """Write one split, or the folds of a data set, as a JSON file, atomically."""
    write_versioned(Path(path), {"splits": [asdict(split) for split in splits]}, FORMAT, SCHEMA)


def read_splits(path: str | Path, manifest: Manifest) -> tuple[Split, ...]:
    """Every split of a file, each held to :func:`require_usable`.

    Raises
    ------
    ReadError
        When it is no file of splits, or a field is wrong.
    LeakError, MedcnnError
        As :func:`require_usable`.
    """
    path = Path(path)
    splits = read_versioned(path, _SplitFile, FORMAT, SCHEMA, "split").splits
    if not splits:
        raise ReadError("holds no split", source=path)
    for split in splits:
        require_usable(manifest, split)
    return splits


def read_split(path: str | Path, manifest: Manifest, fold: int = 0) -> Split:
    """One split of a file.

    Raises
    ------
    ReadError
        As :func:`read_splits`, and when the file has no such fold.
    """
    splits = {split.fold: split for split in read_splits(path, manifest)}
    if fold not in splits:
        raise ReadError(
            f"has no fold {fold}", source=path, hint=f"it has {listed(map(str, splits))}"
        )
    return splits[fold]
