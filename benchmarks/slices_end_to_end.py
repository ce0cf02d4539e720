"""From a folder of pictures to a report, by two commands: `medcnn train`, then `medcnn evaluate`.

    python -m benchmarks.slices_end_to_end [--minutes 2] [--network classic_cnn] [--threads 2]
        [--data FOLDER] [--folder FOLDER]

The data, the split and what cannot be known of them are those of `benchmarks.slice_classifiers`.
The commands run as a user runs them; what is printed is read from the files that they wrote. A cell
of the confusion matrix is the share of a true class that was said to be of a class; its interval
resamples the groups that the evaluation resampled, whole.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.commands import run_measured
from benchmarks.label_scores import text
from benchmarks.measuring import Measured
from benchmarks.slice_classifiers import CANNOT_BE_KNOWN, Table, make_data
from benchmarks.training_runs import DATA, learning_of, surroundings, train, working_folder
from napari_medcnn.evaluation.confidence import Interval, bootstrap_figures
from napari_medcnn.training.card_figures import table
from napari_medcnn.training.run_folder import RunFolder
from napari_medcnn.training.sources import class_folders

Shares = tuple[tuple[Interval, ...], ...]


@dataclass(frozen=True)
class Judged:
    """What `medcnn evaluate` wrote.

    Parameters
    ----------
    figures : dict
        Of ``figures.json``.
    confusion : tuple of tuple of Interval
        ``[true class][said class]``, shares of the true class.
    files : tuple of Path
        The report.
    """

    figures: dict[str, Any]
    confusion: Shares
    files: tuple[Path, ...]


def main() -> None:
    """Run both commands and print what came of it."""
    given = _arguments()
    with working_folder(given.folder) as folder:
        begin = time.perf_counter()
        manifest = class_folders(given.data / "brain_tumor_slices", modality="MR")
        _, split = make_data(manifest, folder, given.seed)
        prepared = time.perf_counter() - begin
        print(*split.notes, CANNOT_BE_KNOWN, sep="\n", flush=True)
        run = folder / "run"
        options = ("--minutes", str(given.minutes), "--seed", str(given.seed))
        taught = train(folder, run, given.threads, *options, "--network", given.network)
        measured = evaluate(folder, RunFolder(run).bundle, given.threads)
        whole = time.perf_counter() - begin
        judged = read(folder / "evaluation")
        show(judged)
        learning = learning_of(run)
        print(f"\n{learning['epochs']} epochs, {learning['parameters']:,} parameters")
        print(
            f"looking for look-alikes {prepared:.0f} s, medcnn train {taught.seconds:.0f} s, "
            f"medcnn evaluate with its report {measured.seconds:.0f} s, the whole {whole:.0f} s; "
            f"peak {max(taught.peak_gb, measured.peak_gb):.2f} GB"
        )
        print(*judged.files, sep="\n")


def evaluate(folder: Path, model: Path, threads: int) -> Measured:
    """Judge a model on the test part of `folder`'s data, with a report in ``evaluation``."""
    data = ("--data", str(folder / "manifest.json"), "--split", str(folder / "split.json"))
    how = ("--part", "test", "--device", "cpu", "--threads", str(threads))
    line = ("evaluate", str(model), *data, *how, "--out", str(folder / "evaluation"))
    print("$ medcnn", *line, flush=True)
    command = (sys.executable, "-m", "napari_medcnn.cli", *line)
    return run_measured(command, folder / "evaluate.log", surroundings(folder, threads))


def read(folder: Path) -> Judged:
    """The figures of an evaluation's folder.

    Raises
    ------
    SystemExit
        When a case failed, or there is no report.
    """
    figures = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    files = (folder / "report.html", folder / "report.pdf")
    absent = [str(path) for path in files if not path.is_file()]
    if figures["failed"] or absent:
        raise SystemExit(f"failed: {figures['failed'][:3]}, not written: {absent}")
    cases = pd.read_csv(folder / "cases.csv", dtype=str, keep_default_na=False)
    classes = [one["name"] for one in figures["classification"]["by_class"]]
    return Judged(figures, confusion_shares(cases, classes), files)


def confusion_shares(cases: pd.DataFrame, classes: list[str]) -> Shares:
    """The confusion matrix as shares of each true class, with intervals.

    Parameters
    ----------
    cases : pandas.DataFrame
        Of ``cases.csv``: ``patient``, ``truth`` and ``said`` of each case.
    """
    pairs = [(true, said) for true in classes for said in classes]
    true = np.array([cases["truth"] == name for name in classes], float)
    both = np.array([(cases["truth"] == t) & (cases["said"] == s) for t, s in pairs], float)
    rows = np.repeat(np.arange(len(classes)), len(classes))

    def shares(weights: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        with np.errstate(invalid="ignore"):  # a class that was not drawn has no share
            return np.asarray((both @ weights.T) / (true @ weights.T)[rows])

    estimates = shares(np.ones((1, len(cases))))[:, 0]
    found = bootstrap_figures(shares, estimates, list(cases["patient"]))
    size = len(classes)
    return tuple(found[n : n + size] for n in range(0, len(found), size))


def show(judged: Judged) -> None:
    """Print the figures with their intervals."""
    figures = judged.figures["classification"]
    of_all = ("accuracy", "balanced_accuracy")
    print(f"\n{figures['cases']} test slices, 95 % bootstrap intervals")
    for name in of_all:
        print(f"{name.replace('_', ' ')} {text(Interval(**figures[name]))}")
    print(f"macro ROC AUC {text(Interval(**figures['macro']['auc']))}\n")
    print(table(*class_table(figures)), end="\n\n")
    names = [one["name"] for one in figures["by_class"]]
    rows = [
        (name, *map(text, row), str(sum(counts)))
        for name, row, counts in zip(names, judged.confusion, figures["confusion"], strict=True)
    ]
    print(table(("true class", *(f"said {name}" for name in names), "slices"), rows))


def class_table(figures: dict[str, Any]) -> Table:
    """Head and rows of each class's figures."""
    shown = ("auc", "average_precision", "recall", "specificity", "precision")
    rows = []
    for one in figures["by_class"]:
        cells = [text(Interval(**one[name])) for name in shown]
        rows.append((one["name"], *cells))
    return ("class", "ROC AUC", "PR AUC", "recall", "specificity", "precision"), rows


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--network", default="classic_cnn")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="keep everything here; new or empty")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
