"""The whole recipe in order: volumes, pre-training, fine-tuning, figures, bundle."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from napari_medcnn.core.atomic import write_json
from recipes.flair_lesions.bundle import FOLDER, metadata, write_bundle
from recipes.flair_lesions.card import card, training_statement
from recipes.flair_lesions.dataset import StoredExample, generate, store
from recipes.flair_lesions.evaluate import (
    baseline_figures,
    build_pipeline,
    out_of_domain,
    prepare,
    score_scan,
)
from recipes.flair_lesions.network import build_network
from recipes.flair_lesions.patients import PATIENTS, ms_flair, stripped_example
from recipes.flair_lesions.sampling import Source, open_source
from recipes.flair_lesions.training import Pools, Schedule, StateDict, train

FIGURES = Path(__file__).parent / "figures.json"

EARLY_VOLUMES, VOLUMES, EARLY_STEPS = 40, 112, 300
"""Training begins on the first volumes while the others are still being made."""

PRE_TRAINING = Schedule(steps=1150, windows=2, learning_rate=3e-3, average=0.995, seed=1)
SETTLING = (
    Schedule(steps=200, windows=2, learning_rate=1e-3, average=0.98, seed=3, fixed_norm=True),
    Schedule(steps=240, windows=2, learning_rate=1e-3, average=0.98, seed=4, fixed_norm=True),
)
"""On synthetic volumes with the norm that inference uses. The statistics of two windows follow
their lesion load; the running ones cannot, and without this step heavy loads are missed."""

FINE_TUNING = Schedule(
    steps=120, windows=2, learning_rate=5e-4, average=0.97, seed=2, fixed_norm=True
)
SEVERE_SHARE = 0.4
"""Share of the synthetic windows from the third of the volumes with the heaviest load."""

REAL_SHARE = 0.5
"""Share of the fine-tuning windows from real patients."""


@dataclass(frozen=True)
class Models:
    """Weights of each stage.

    `pre_trained` and `synthetic` saw synthetic volumes only, and the latter ship; `without` holds
    those fine-tuned on all patients but one, by that one's name.
    """

    pre_trained: StateDict
    synthetic: StateDict
    without: dict[str, StateDict]


def build(data: Path, workspace: Path, bundle: Path = FOLDER, figures_path: Path = FIGURES) -> None:
    """Rebuild the bundle and its figures.

    Parameters
    ----------
    data : Path
        Folder that holds `ms_flair`, and for the figures out of domain `stroke_t2`, `brats2013`.
    workspace : Path
        For generated volumes, logs and intermediate weights (some 2 GB).
    bundle, figures_path : Path
        What is written.
    """
    torch.manual_seed(0)
    publish(train_models(data, workspace), data, workspace, bundle, figures_path)


def publish(
    models: Models, data: Path, workspace: Path, bundle: Path = FOLDER, figures_path: Path = FIGURES
) -> None:
    """Score the models, and write figures, card and bundle."""
    figures = evaluate(models, data, workspace)
    figures["command"] = "python -m recipes.flair_lesions"
    figures["threads"] = torch.get_num_threads()
    figures["training_minutes"] = round(sum(_seconds(log) for log in workspace.glob("*.csv")) / 60)
    write_json(figures_path, figures)
    about = metadata(headline(figures), training_statement())
    write_bundle(bundle, models.synthetic, card(figures), about)


def trained_models(workspace: Path) -> Models:
    """The models that an earlier run left in `workspace`."""

    def read(name: str) -> StateDict:
        weights: StateDict = torch.load(workspace / f"{name}.pt", weights_only=True)
        return weights

    without = {name: read(f"without_{name}") for name in PATIENTS}
    return Models(read("pre_training"), read("synthetic"), without)


def _seconds(log: Path) -> float:
    return float(log.read_text().splitlines()[-1].split(",")[1])


def train_models(data: Path, workspace: Path) -> Models:
    """Generate, train on synthetic volumes, and fine-tune once without each patient."""
    volumes = workspace / "synthetic"
    early = [open_source(one) for one in generate(volumes, 0, EARLY_VOLUMES, processes=2)]
    with ThreadPoolExecutor(1) as background:
        rest = background.submit(generate, volumes, EARLY_VOLUMES, VOLUMES, 1)
        sources = pre_train(early, rest, workspace)
    start = torch.load(workspace / "synthetic.pt", weights_only=True)
    patients = {name: _open_patient(data, name, workspace) for name in PATIENTS}
    for left_out in PATIENTS:
        others = [source for name, source in patients.items() if name != left_out]
        tuned = fine_tune(start, sources, others, workspace / f"without_{left_out}.csv")
        torch.save(tuned, workspace / f"without_{left_out}.pt")
    return trained_models(workspace)


def pre_train(
    early: list[Source], rest: Future[list[StoredExample]], workspace: Path
) -> list[Source]:
    """Train on synthetic volumes alone, weights into `workspace`; returns all the volumes."""
    everything: list[Source] = []

    def pools_at(step: int) -> Pools:
        if step <= EARLY_STEPS:
            return [(early, 1.0)]
        if not everything:
            everything.extend([*early, *(open_source(one) for one in rest.result())])
        return [(everything, 1.0)]

    network = build_network()
    weights = train(network, pools_at, PRE_TRAINING, workspace / "pre_training.csv")
    torch.save(weights, workspace / "pre_training.pt")
    pools = synthetic_pools(everything)
    for number, schedule in enumerate(SETTLING, start=1):
        network.load_state_dict(weights)
        weights = train(network, lambda _: pools, schedule, workspace / f"settling_{number}.csv")
    torch.save(weights, workspace / "synthetic.pt")
    return everything


def synthetic_pools(sources: list[Source]) -> Pools:
    """All synthetic volumes, with more windows from the severe ones."""
    by_load = sorted(sources, key=lambda source: len(source.lesion_voxels), reverse=True)
    return [(by_load[: len(by_load) // 3], SEVERE_SHARE), (sources, 1 - SEVERE_SHARE)]


def fine_tune(
    start: StateDict, synthetic: list[Source], real: list[Source], log: Path
) -> StateDict:
    """Train on from `start` on real patients among synthetic volumes."""
    network = build_network()
    network.load_state_dict(start)
    mixed = [(group, (1 - REAL_SHARE) * share) for group, share in synthetic_pools(synthetic)]
    pools = [(real, REAL_SHARE), *mixed]
    return train(network, lambda _: pools, FINE_TUNING, log)


def evaluate(models: Models, data: Path, workspace: Path) -> dict[str, Any]:
    """Score every model on every patient, the baseline beside them, and out of domain."""
    pipeline = build_pipeline()
    figures: dict[str, Any] = {"intensity_baseline": baseline_figures(data)}
    kinds = ("before_settling", "synthetic_only", "leave_one_patient_out")
    figures |= {kind: {} for kind in kinds}
    for patient in PATIENTS:
        scan = ms_flair(data, patient)
        case = prepare(pipeline, scan.image)
        weights = (models.pre_trained, models.synthetic, models.without[patient])
        for kind, one in zip(kinds, weights, strict=True):
            figures[kind][patient] = score_scan(pipeline, one, scan, case)
    figures["out_of_domain_shipped_model"] = out_of_domain(
        pipeline, models.synthetic, data, workspace
    )
    return figures


def headline(figures: dict[str, Any]) -> dict[str, float]:
    """The figures for the bundle's metadata: of the shipped weights, which saw no patient."""
    return {f"dice_{patient}": figures["synthetic_only"][patient]["dice"] for patient in PATIENTS}


def _open_patient(data: Path, name: str, workspace: Path) -> Source:
    example = stripped_example(ms_flair(data, name))
    return open_source(store(workspace / "patients", name, example.image, example.lesions))
