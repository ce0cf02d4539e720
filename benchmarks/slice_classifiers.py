"""Four kinds of networks on one data set of pictures, by `medcnn train`, for the same minutes.

    python -m benchmarks.slice_classifiers [--minutes 5]
        [--networks classic vgg resnet densenet] [--threads 2] [--data FOLDER] [--folder FOLDER]

The data are slices of MR scans of heads in a folder for each class (three kinds of brain tumour,
and none), in ``train/`` and ``test/``. ``test/`` is the test part as it stands. Slices of
``train/`` that look alike are kept together when the validation part is drawn from it, and those
that look like a test slice are left out of training. That grouping is done once; one data set's
file and one split go to every run. Each network learns as the command proposes it by itself.

What cannot be known: nobody says which slices are of one patient. Grouping finds copies and slices
that are nearly equal, not every neighbour. Slices of a patient may stand on both sides, so that
the figures may be better than they would be on new patients, and the intervals, which resample
slices and groups of look-alikes in place of patients, are too narrow.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.label_scores import text
from benchmarks.measuring import Measured
from benchmarks.training_runs import DATA, learning_of, train, working_folder
from napari_medcnn.core.events import run_to_end
from napari_medcnn.evaluation.classification import ClassificationFigures
from napari_medcnn.training.card_figures import table
from napari_medcnn.training.grouping import Grouping, group_cases
from napari_medcnn.training.held_out import FILE, HeldOut
from napari_medcnn.training.manifest import Manifest, Split, write_manifest
from napari_medcnn.training.run_folder import RunFolder
from napari_medcnn.training.sources import class_folders
from napari_medcnn.training.splits import make_split, write_splits
from napari_medcnn.training.strict_json import read_record

Table: TypeAlias = tuple[Sequence[str], Sequence[Sequence[str]]]

VALIDATION = 0.15
NETWORKS = {
    "classic": "classic_cnn",
    "vgg": "vgg11",
    "resnet": "resnet18",
    "densenet": "densenet121",
}
"""Short names of the lightest network of each kind; any other name is passed on as it is."""

CANNOT_BE_KNOWN = (
    "No slice has a patient: slices of one patient may stand on both sides, figures may be better "
    "than on new patients, and intervals are too narrow."
)


@dataclass(frozen=True)
class Trained:
    """One network's run.

    Parameters
    ----------
    network : str
        Its name in the command.
    figures : ClassificationFigures
        On the test part.
    whole : Measured
        The command from start to end.
    learning : dict
        Of :func:`~benchmarks.training_runs.learning_of`.
    """

    network: str
    figures: ClassificationFigures
    whole: Measured
    learning: dict[str, Any]


def main() -> None:
    """Train each network and print a table."""
    given = _arguments()
    with working_folder(given.folder) as folder:
        begin = time.perf_counter()
        manifest = class_folders(given.data / "brain_tumor_slices", modality="MR")
        manifest, split = make_data(manifest, folder, given.seed)
        seconds = time.perf_counter() - begin
        sizes = ", ".join(f"{part} {len(names)}" for part, names in split.parts.items())
        print(f"{sizes}; looking for slices that look alike, once: {seconds:.1f} s")
        print(*split.notes, CANNOT_BE_KNOWN, sep="\n", flush=True)
        runs = [_train(NETWORKS.get(name, name), folder, given) for name in given.networks]
        print("\nOn the test part, with 95 % bootstrap intervals")
        print(table(*figures_table(runs)), end="\n\n")
        print(table(*costs_table(runs)))


def make_data(manifest: Manifest, folder: Path, seed: int) -> tuple[Manifest, Split]:
    """Write ``manifest.json`` and ``split.json`` into `folder`: the makers' test part is kept."""
    manifest = replace(manifest, description=CANNOT_BE_KNOWN)
    grouping = run_to_end(group_cases(manifest), Grouping)
    split = make_split(manifest, validation=VALIDATION, seed=seed, grouping=grouping)
    write_manifest(manifest, folder / "manifest.json")
    write_splits((split,), folder / "split.json")
    return manifest, split


def _train(network: str, folder: Path, given: argparse.Namespace) -> Trained:
    run = folder / network
    options = ("--minutes", str(given.minutes), "--seed", str(given.seed), "--network", network)
    whole = train(folder, run, given.threads, *options)
    found = read_record(RunFolder(run).evaluation / FILE, HeldOut)
    if found.classification is None or found.part != "test" or found.failed:
        raise SystemExit(f"{run}: not every test slice was judged: {found.failed[:3]}")
    done = Trained(network, found.classification, whole, learning_of(run))
    print(f"{network}: accuracy {text(done.figures.accuracy)}", flush=True)
    return done


def figures_table(runs: list[Trained]) -> Table:
    """Head and rows of what the networks say of the test part."""
    classes = [one.name for one in runs[0].figures.by_class]
    head = ("", "accuracy", "balanced accuracy", "macro ROC AUC", *(f"recall {c}" for c in classes))
    rows = [
        (
            run.network,
            text(run.figures.accuracy),
            text(run.figures.balanced_accuracy),
            text(run.figures.macro_auc),
            *(text(one.recall) for one in run.figures.by_class),
        )
        for run in runs
    ]
    return head, rows


def costs_table(runs: list[Trained]) -> Table:
    """Head and rows of what the networks are and took."""
    head = ("", "parameters", "image", "batch", "epochs", "best epoch", "steps", "learning s",
            "whole command s", "peak GB")  # fmt: skip
    rows = [
        (
            run.network,
            f"{run.learning['parameters']:,}",
            "×".join(map(str, run.learning["patch"][1:])),
            str(run.learning["batch"]),
            str(run.learning["epochs"]),
            str(run.learning["best_epoch"]),
            str(run.learning["steps"]),
            f"{run.learning['seconds']:.0f}",
            f"{run.whole.seconds:.0f}",
            f"{run.whole.peak_gb:.2f}",
        )
        for run in runs
    ]
    return head, rows


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="keep everything here; new or empty")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
