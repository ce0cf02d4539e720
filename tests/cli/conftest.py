"""The command, run in this process as the shell would run it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from napari_medcnn.cli.app import run


@dataclass(frozen=True)
class Outcome:
    """What the shell sees of a command."""

    code: int
    out: str
    err: str


@pytest.fixture
def medcnn(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """Run ``medcnn ARGUMENTS`` and return exit code, stdout and stderr."""

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["medcnn", *(str(argument) for argument in arguments)])
        code = 0
        try:
            run()
        except SystemExit as end:
            code = int(end.code or 0)
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return call
