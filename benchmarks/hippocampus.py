"""`medcnn train` on the hippocampus, beside nnU-Net: same cases, same minutes, same judge.

    python -m benchmarks.hippocampus [--minutes 20] [--nnunet-python PYTHON] [--threads 2]
        [--data FOLDER] [--folder FOLDER] [--seed 0]

One split by inferred patients (:mod:`benchmarks.hippocampus_data`) with 40 held-out cases is
written by the engine and given to both. Ours is the one command, measured as a whole process.
nnU-Net plans and preprocesses the same cases as it does by itself, and learns its ``3d_fullres`` on
the CPU for the same minutes: its trainer with the polynomial schedule stretched over the time
(:mod:`benchmarks.nnunet_trainer.by_the_clock`), its last state. Its figures are not those of its
usual 250,000 steps, which take weeks on a CPU. It was made for a GPU, and so is its plan; what is
compared is what a short training on a CPU comes to.

Both learn on as many threads. nnU-Net has one more process that augments, the fewest it runs beside
the learning; ours has worker threads. nnU-Net segments the held-out cases with mirrored windows,
its default, and without, on all cores; ours as the model is used.

Both label maps are scored by one function, and ours are held to what ``medcnn train`` said of them.
Without --nnunet-python only ours runs. --folder keeps everything in a new or empty folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.commands import run_measured
from benchmarks.hippocampus_data import (
    NUMBER,
    folder_name,
    make_data,
    nnunet_splits,
    scale_correlation,
    write_nnunet_raw,
)
from benchmarks.label_scores import (
    Scores,
    difference,
    disagreements,
    interval_of,
    score,
    text,
)
from benchmarks.measuring import Measured
from benchmarks.nnunet_commands import HOW_TO, NNUNet, require_nnunet
from benchmarks.training_runs import DATA, learning_of, surroundings, train, working_folder
from napari_medcnn.training.card_figures import table
from napari_medcnn.training.manifest import Manifest, Split

TEST, VALIDATION = 0.2, 0.1
OURS = "napari-medcnn"

SEGMENT = """
import sys
from pathlib import Path
import napari_medcnn as mc
from napari_medcnn.core.events import run_to_end
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.inference.loaded import load_model
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.inference.segment import segment

bundle, out, threads, *images = sys.argv[1:]
options = RunOptions("cpu", threads=int(threads), keep_probability=False, accept_findings=True)
with load_model(mc.load_model(bundle), options) as loaded:
    for image in map(Path, images):
        (volume,) = mc.read(image)
        job = segment([volume], loaded.spec, None, options, loaded)
        mc.write(run_to_end(job, Segmentation), Path(out) / image.name, volume=volume)
"""


@dataclass(frozen=True)
class Candidate:
    """One of those that are compared.

    Parameters
    ----------
    name : str
        Its row.
    scores : Scores
        Of its label maps.
    whole : Measured
        From the data to a trained model.
    learning : dict
        ``seconds`` of learning, ``steps``, ``batch``, ``patch``, ``parameters``.
    segmenting : Measured
        Of the held-out cases.
    """

    name: str
    scores: Scores
    whole: Measured
    learning: dict[str, Any]
    segmenting: Measured


def main() -> None:
    """Run both, and print what they come to."""
    given = _arguments()
    if given.nnunet_python is not None:
        require_nnunet(given.nnunet_python)
    with working_folder(given.folder) as folder:
        manifest, split = make_data(
            given.data / "hippocampus", folder, test=TEST, validation=VALIDATION, seed=given.seed
        )
        _tell_data(manifest, split)
        candidates = [_ours(manifest, split, folder, given)]
        if given.nnunet_python is None:
            print(HOW_TO)
        else:
            candidates += _nnunet(manifest, split, folder, given)
        _tell(candidates, {name: split.groups[name] for name in split.test})


def _ours(manifest: Manifest, split: Split, folder: Path, given: argparse.Namespace) -> Candidate:
    run = folder / "ours"
    options = ("--minutes", str(given.minutes), "--seed", str(given.seed))
    whole = train(folder, run, given.threads, *options)
    out = folder / "ours_labels"
    out.mkdir()
    images = [str(manifest.case(name).images[0]) for name in split.test]
    segmenting = run_measured(
        [sys.executable, "-c", SEGMENT, str(run / "bundle"), str(out), str(given.threads), *images],
        folder / "ours_labels.log",
        surroundings(folder, given.threads),
    )
    scores = score(manifest, split.test, out)
    wrong = list(disagreements(scores, run / "evaluation" / "cases.json"))
    said = (
        f"{len(wrong)} FIGURES OF MEDCNN TRAIN ARE OTHERS"
        if wrong
        else "medcnn train says the same"
    )
    print("scored here:", said, *wrong, sep="\n  " if wrong else " ", flush=True)
    return Candidate(OURS, scores, whole, learning_of(run), segmenting)


def _nnunet(
    manifest: Manifest, split: Split, folder: Path, given: argparse.Namespace
) -> Iterator[Candidate]:
    theirs = NNUNet(given.nnunet_python, folder / "nnunet", NUMBER, folder_name(), given.threads)
    images = write_nnunet_raw(manifest, split, theirs.raw)
    planned = theirs.plan()
    print(f"nnU-Net, plan and preprocess  {planned}", flush=True)
    theirs.fix_split(nnunet_splits(split))
    trained, learning = theirs.train(given.minutes)
    print(f"nnU-Net, training             {trained}", flush=True)
    whole = Measured(
        planned.seconds + trained.seconds,
        max(planned.peak_gb, trained.peak_gb),
        planned.cpu_seconds + trained.cpu_seconds,
    )
    for name, mirrored in (("nnU-Net, not mirrored", False), ("nnU-Net", True)):
        out = theirs.folder / ("mirrored" if mirrored else "plain")
        segmenting = theirs.predict(images, out, mirrored=mirrored)
        yield Candidate(name, score(manifest, split.test, out), whole, learning, segmenting)


def _tell_data(manifest: Manifest, split: Split) -> None:
    own, other = scale_correlation(manifest)
    patients = {part: len({split.groups[n] for n in names}) for part, names in split.parts.items()}
    sizes = ", ".join(
        f"{part} {len(names)} ({patients[part]} patients)" for part, names in split.parts.items()
    )
    print(
        f"{sizes}\npatients are inferred from numbers: the median values of n odd and n + 1 "
        f"correlate by {own:.3f}, those of n even and n + 1 by {other:.3f}",
        *split.notes,
        sep="\n",
        flush=True,
    )


def _tell(candidates: list[Candidate], patients: dict[str, str]) -> None:
    """Tables in Markdown."""
    classes = candidates[0].scores.classes
    rows = [
        (
            one.name,
            text(interval_of(one.scores.means(), patients)),
            *(text(interval_of(one.scores.of_class(name), patients)) for name in classes),
        )
        for one in candidates
    ]
    print("\nDice on the held-out cases; 95 % bootstrap intervals, patients resampled")
    print(table(("", "mean of classes", *classes), rows))
    ours, *others = candidates
    for one in others:
        means = difference(ours.scores.means(), one.scores.means())
        print(f"\n{OURS} less {one.name}: {text(interval_of(means, patients), signed=True)}")
    print()
    print(table(("", "data to model s", "of cores s", "peak GB", "learning s", "steps",
                 "batch", "patch", "parameters", "segmenting s"),
                [_costs(one) for one in candidates]))  # fmt: skip


def _costs(one: Candidate) -> tuple[str, ...]:
    did = one.learning
    return (
        one.name,
        f"{one.whole.seconds:.0f}",
        f"{one.whole.cpu_seconds:.0f}",
        f"{one.whole.peak_gb:.2f}",
        f"{did['seconds']:.0f}",
        f"{did['steps']}",
        f"{did['batch']}",
        "×".join(map(str, did["patch"])),
        f"{did['parameters']:,}",
        f"{one.segmenting.seconds:.1f}",
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--nnunet-python", type=Path, help="of nnU-Net's own environment")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="keep everything here; new or empty")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
