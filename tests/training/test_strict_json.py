"""What a JSON file may say of a record, and how it is told when it is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from napari_medcnn.core.errors import ReadError
from napari_medcnn.training.strict_json import parse_record, read_record, record_json, write_record


@dataclass(frozen=True)
class Part:
    place: Path
    sizes: tuple[int, int]


@dataclass(frozen=True)
class Whole:
    parts: tuple[Part, ...]
    rate: float = 1.0
    free: dict[str, Any] = field(default_factory=dict)


WHOLE = Whole((Part(Path("/a/b"), (1, 2)), Part(Path("c"), (3, 4))), 0.25, {"any": [1, {"x": 2}]})


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    write_record(tmp_path / "whole.json", WHOLE)
    assert read_record(tmp_path / "whole.json", Whole) == WHOLE


def test_unknown_keys_are_named_at_every_depth_but_in_free_dictionaries() -> None:
    text = (
        record_json(WHOLE).replace('"rate"', '"rte"').replace('"sizes": [', '"size": 1, "sizes": [')
    )
    with pytest.raises(
        ReadError, match=r"parts\.0\.size: no such field.*rte: no such field"
    ) as got:
        parse_record(text, Whole, "whole.json")
    assert got.value.source == "whole.json"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("0.25", '"0.25"', "rate: .*number"),
        ('"place": "/a/b",', "", r"parts\.0\.place: .*required"),
        ("{", "[", "no JSON"),
    ],
)
def test_wrong_values_name_file_and_field(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "whole.json"
    path.write_text(record_json(WHOLE).replace(old, new, 1))
    with pytest.raises(ReadError, match=said) as got:
        read_record(path, Whole)
    assert got.value.source == str(path)


def test_a_missing_file_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="cannot be read"):
        read_record(tmp_path / "none.json", Whole)
