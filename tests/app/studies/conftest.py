"""A folder of studies, a cache of its own, and a way to make a child process crash."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.study_tree import write_studies


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_studies(tmp_path / "studies")


@pytest.fixture
def child_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Run some code in every Python process that is started from now on."""

    def put(code: str) -> None:
        (tmp_path / "startup").mkdir(exist_ok=True)
        (tmp_path / "startup" / "sitecustomize.py").write_text(code, encoding="utf-8")
        path = os.pathsep.join([str(tmp_path / "startup"), os.environ.get("PYTHONPATH", "")])
        monkeypatch.setenv("PYTHONPATH", path)

    return put
