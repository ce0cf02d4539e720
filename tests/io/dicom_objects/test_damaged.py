"""Damaged objects are refused as such: never another error, a hang, or a crash."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.io.dicom_objects.export import SUFFIXES, DicomResult, write_dicom
from napari_medcnn.io.dicom_objects.read import read_object_alone, referenced_series
from napari_medcnn.io.read import read_segmentations
from tests.io.dicom_objects.dicom_cases import series, two_boxes

GRID = Geometry.from_spacing((6, 24, 20), (3.0, 0.7, 0.5))
TRIES = 150
_META_END = 132


def damaged(content: bytes, rng: random.Random) -> bytes:
    """A file cut short, or with up to a dozen bytes changed."""
    if rng.random() < 0.2:
        return content[: rng.randrange(_META_END, len(content))]
    changed = bytearray(content)
    for _ in range(rng.randrange(1, 12)):
        changed[rng.randrange(_META_END, len(changed))] = rng.randrange(256)
    return bytes(changed)


@pytest.mark.parametrize("kind", ["seg", "labelmap", "rtstruct"])
def test_damage_is_an_error_that_names_the_file(tmp_path: Path, kind: str) -> None:
    volume = series(tmp_path / "in", GRID)
    path = tmp_path / f"a{SUFFIXES[kind]}"
    write_dicom(DicomResult(two_boxes(volume), volume), path)
    content = path.read_bytes()
    rng = random.Random(f"seed of {kind}")
    refused = 0
    for _ in range(TRIES):
        path.write_bytes(damaged(content, rng))
        for read in (
            lambda: read_segmentations(path, volume),
            lambda: read_object_alone(path),
            lambda: referenced_series(path),
        ):
            try:
                read()
            except MedcnnError as error:
                refused += 1
                assert error.source or error.what
    assert refused
