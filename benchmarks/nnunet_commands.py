"""nnU-Net's own commands, in its own environment, each measured as a whole process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.commands import run_measured
from benchmarks.measuring import Measured

TRAINER = Path(__file__).resolve().parent / "nnunet_trainer" / "by_the_clock.py"
TOLD = "by_the_clock.json"
CONFIGURATION = "3d_fullres"

HOW_TO = """nnU-Net needs an environment of its own:
    python3 -m venv nnunet && nnunet/bin/pip install torch nnunetv2
and then --nnunet-python nnunet/bin/python"""


@dataclass(frozen=True)
class NNUNet:
    """nnU-Net on one data set.

    Parameters
    ----------
    python : Path
        The interpreter of its environment; its commands lie beside it.
    folder : Path
        Of its folders ``raw``, ``preprocessed`` and ``results``, and of logs.
    number : int
        Of the data set.
    name : str
        The data set's folder.
    threads : int
        Of torch while it learns, and processes while it plans. Augmentation is one more process,
        the fewest that it runs beside the learning.
    """

    python: Path
    folder: Path
    number: int
    name: str
    threads: int

    @property
    def raw(self) -> Path:
        """Where data sets are put."""
        return self.folder / "raw"

    def plan(self) -> Measured:
        """Fingerprint, plan, and preprocess the cases that it learns from."""
        return self._command(
            "plan_and_preprocess",
            *("-d", str(self.number), "-c", CONFIGURATION),
            *("-npfp", str(self.threads), "-np", str(self.threads)),
        )

    def fix_split(self, splits: list[dict[str, list[str]]]) -> None:
        """Give it the folds, before it learns."""
        (self._preprocessed / "splits_final.json").write_text(json.dumps(splits, indent=2))

    def train(self, minutes: float) -> tuple[Measured, dict[str, Any]]:
        """Learn the first fold for so many minutes; also what the trainer says of it."""
        arguments = (str(TRAINER), str(self._preprocessed), str(minutes))
        cost = self._run([str(self.python), *arguments], "train")
        trained = f"nnUNetTrainer__nnUNetPlans__{CONFIGURATION}"
        told = self.folder / "results" / self.name / trained / "fold_0" / TOLD
        return cost, json.loads(told.read_text())

    def predict(self, images: Path, out: Path, *, mirrored: bool) -> Measured:
        """Segment a folder of images with the last state of the first fold."""
        return self._command(
            "predict",
            *("-i", str(images), "-o", str(out), "-d", str(self.number), "-c", CONFIGURATION),
            *("-f", "0", "-device", "cpu", "-npp", "1", "-nps", "1"),
            *("--disable_progress_bar", *(() if mirrored else ("--disable_tta",))),
        )

    @property
    def _preprocessed(self) -> Path:
        return self.folder / "preprocessed" / self.name

    def _command(self, name: str, *arguments: str) -> Measured:
        return self._run([str(_command(self.python, name)), *arguments], name)

    def _run(self, command: Sequence[str], name: str) -> Measured:
        folders = {kind: self.folder / kind for kind in ("raw", "preprocessed", "results")}
        for path in folders.values():
            path.mkdir(parents=True, exist_ok=True)
        print("$", *command, flush=True)
        return run_measured(
            command,
            self.folder / f"{name}.log",
            {
                **{f"nnUNet_{kind}": str(path) for kind, path in folders.items()},
                "nnUNet_n_proc_DA": "1",
                "nnUNet_def_n_proc": str(self.threads),
                "OMP_NUM_THREADS": str(self.threads),
            },
        )


def require_nnunet(python: Path) -> None:
    """Make sure that nnU-Net's commands lie beside an interpreter.

    Raises
    ------
    SystemExit
        With the way to install it.
    """
    command = _command(python, "predict")
    if not command.is_file():
        raise SystemExit(f"there is no {command}\n{HOW_TO}")


def _command(python: Path, name: str) -> Path:
    return python.parent / f"nnUNetv2_{name}"
