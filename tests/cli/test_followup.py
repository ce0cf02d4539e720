"""``medcnn followup``: what it prints, and what it wants."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.report.made_followups import LABELS, write_studies


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_studies(tmp_path_factory.mktemp("studies"))


def arguments(files: Path, out: Path) -> list[Path | str]:
    return [
        "followup", files / "before.nii.gz", files / "after.nii.gz", "--out", out,
        "--baseline-labels", files / LABELS[0], "--followup-labels", files / LABELS[1],
        "--transform", files / "true.tfm", "--days", "30",
    ]  # fmt: skip


def test_json_tells_programs_everything(medcnn: Any, files: Path, tmp_path: Path) -> None:
    result = medcnn(*arguments(files, tmp_path), "--accept-registration", "--json")
    assert result.code == 0, result.err
    told = json.loads(result.out)
    assert told["counts"]["enlarging"] == 1 and told["registration"]["kind"] == "rigid"


def test_people_read_a_table(medcnn: Any, files: Path, tmp_path: Path) -> None:
    result = medcnn(*arguments(files, tmp_path), "--accept-registration")
    assert result.code == 0, result.err
    assert "new or enlarging: 2" in result.out and "enlarging" in result.out
    assert "research use" in result.out + result.err


def test_a_transform_that_is_none_is_refused(medcnn: Any, files: Path, tmp_path: Path) -> None:
    given = arguments(files, tmp_path)
    given[given.index(files / "true.tfm")] = files / LABELS[0]
    result = medcnn(*given)
    assert result.code == 1 and "no transform" in result.err
