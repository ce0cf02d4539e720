"""The whole recipe in order: volumes, pre-training, fine-tuning, figures, bundle."""

from __future__ import annotations

import time
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
FINE_TUNING = Schedule(steps=120, windows=2, learning_rate=5e-4, average=0.97, seed=2)
REAL_SHARE, SEVERE_SHARE = 0.5, 0.3
"""Shares of the fine-tuning windows from real patients and from the most severe synthetic third;
the rest comes from all synthetic volumes, against forgetting."""


@dataclass(frozen=True)
class Models:
    """Weights by training data: synthetic only, without each patient, and with both."""

    synthetic: StateDict
    without: dict[str, StateDict]
    both: StateDict


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
    start = time.perf_counter()
    torch.manual_seed(0)
    models = train_models(data, workspace)
    training_minutes = (time.perf_counter() - start) / 60
    figures = evaluate(models, data, workspace)
    figures["command"] = "python -m recipes.flair_lesions"
    figures["threads"] = torch.get_num_threads()
    figures["training_minutes"] = round(training_minutes, 1)
    figures["total_minutes"] = round((time.perf_counter() - start) / 60, 1)
    write_json(figures_path, figures)
    about = metadata(headline(figures), training_statement())
    write_bundle(bundle, models.both, card(figures), about)


def train_models(data: Path, workspace: Path) -> Models:
    """Generate, pre-train, and fine-tune three times."""
    volumes = workspace / "synthetic"
    early = [open_source(one) for one in generate(volumes, 0, EARLY_VOLUMES, processes=2)]
    with ThreadPoolExecutor(1) as background:
        rest = background.submit(generate, volumes, EARLY_VOLUMES, VOLUMES, 1)
        synthetic, sources = pre_train(early, rest, workspace)
    patients = {name: _open_patient(data, name, workspace) for name in PATIENTS}
    without = {
        left_out: fine_tune(
            synthetic,
            sources,
            [source for name, source in patients.items() if name != left_out],
            workspace / f"without_{left_out}.csv",
        )
        for left_out in PATIENTS
    }
    both = fine_tune(synthetic, sources, list(patients.values()), workspace / "both.csv")
    return Models(synthetic, without, both)


def pre_train(
    early: list[Source], rest: Future[list[StoredExample]], workspace: Path
) -> tuple[StateDict, list[Source]]:
    """Train on synthetic volumes alone; returns the weights and all volumes."""
    everything: list[Source] = []

    def pools_at(step: int) -> Pools:
        if step <= EARLY_STEPS:
            return [(early, 1.0)]
        if not everything:
            everything.extend([*early, *(open_source(one) for one in rest.result())])
        return [(everything, 1.0)]

    weights = train(build_network(), pools_at, PRE_TRAINING, workspace / "synthetic.csv")
    torch.save(weights, workspace / "synthetic.pt")
    return weights, everything


def fine_tune(
    start: StateDict, synthetic: list[Source], real: list[Source], log: Path
) -> StateDict:
    """Train on from `start` on real patients among synthetic volumes."""
    network = build_network()
    network.load_state_dict(start)
    by_load = sorted(synthetic, key=lambda source: len(source.lesion_voxels), reverse=True)
    severe = by_load[: len(by_load) // 3]
    rest = 1 - REAL_SHARE - SEVERE_SHARE
    pools = [(real, REAL_SHARE), (severe, SEVERE_SHARE), (synthetic, rest)]
    weights = train(network, lambda _: pools, FINE_TUNING, log)
    torch.save(weights, log.with_suffix(".pt"))
    return weights


def evaluate(models: Models, data: Path, workspace: Path) -> dict[str, Any]:
    """Score every model on every patient, the baseline beside them, and out of domain."""
    pipeline = build_pipeline()
    figures: dict[str, Any] = {"intensity_baseline": baseline_figures(data)}
    kinds = ("synthetic_only", "leave_one_patient_out", "trained_on_this_patient")
    figures |= {kind: {} for kind in kinds}
    for patient in PATIENTS:
        scan = ms_flair(data, patient)
        case = prepare(pipeline, scan.image)
        weights = (models.synthetic, models.without[patient], models.both)
        for kind, one in zip(kinds, weights, strict=True):
            figures[kind][patient] = score_scan(pipeline, one, scan, case)
    figures["out_of_domain_shipped_model"] = out_of_domain(pipeline, models.both, data, workspace)
    return figures


def headline(figures: dict[str, Any]) -> dict[str, float]:
    """The figures for the bundle's metadata; only of patients that the model never saw."""
    return {
        f"dice_{patient}_{kind}": figures[kind][patient]["dice"]
        for kind in ("synthetic_only", "leave_one_patient_out")
        for patient in PATIENTS
    }


def _open_patient(data: Path, name: str, workspace: Path) -> Source:
    example = stripped_example(ms_flair(data, name))
    return open_source(store(workspace / "patients", name, example.image, example.lesions))
