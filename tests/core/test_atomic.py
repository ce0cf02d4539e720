"""A written file is whole or not there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from napari_medcnn.core.atomic import replacing, write_json, write_text
from napari_medcnn.core.errors import WriteError


def test_an_error_while_writing_keeps_the_old_file_and_leaves_no_litter(tmp_path: Path) -> None:
    target = tmp_path / "labels.nii.gz"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(target) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_temporary_name_keeps_the_double_suffix(tmp_path: Path) -> None:
    with replacing(tmp_path / "a.b.nii.gz") as temporary:
        assert temporary.name.endswith(".nii.gz")
        temporary.write_text("x")
    assert (tmp_path / "a.b.nii.gz").read_text() == "x"


def test_folders_are_made_and_permissions_follow_the_umask(tmp_path: Path) -> None:
    target = tmp_path / "new" / "note.txt"
    write_text(target, "Läsion")
    assert target.read_text(encoding="utf-8") == "Läsion"
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~umask


def test_nan_never_enters_a_json_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"volume": float("nan")})
    assert not list(tmp_path.iterdir())


def test_an_impossible_folder_is_a_write_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="file"):
        write_text(tmp_path / "file" / "below.txt", "x")
