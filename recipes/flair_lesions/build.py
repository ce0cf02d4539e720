"""The whole recipe in order: volumes, training, figures, bundle."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from napari_medcnn.core.atomic import write_json
from recipes.flair_lesions.bundle import FOLDER, metadata, write_bundle
from recipes.flair_lesions.card import card, training_statement
from recipes.flair_lesions.dataset import StoredExample, generate
from recipes.flair_lesions.evaluate import (
    baseline_figures,
    build_pipeline,
    out_of_domain,
    prepare,
    score_scan,
)
from recipes.flair_lesions.network import build_network
from recipes.flair_lesions.patients import PATIENTS, ms_flair
from recipes.flair_lesions.sampling import Source, open_source
from recipes.flair_lesions.training import Pools, Schedule, StateDict, train

FIGURES = Path(__file__).parent / "figures.json"
WEIGHTS, LOG = "synthetic.pt", "training.csv"

EARLY_VOLUMES, VOLUMES, EARLY_STEPS = 40, 112, 300
"""Training begins on the first volumes while the others are still being made."""

SCHEDULE = Schedule(steps=1400, windows=2, learning_rate=2e-3, average=0.995, seed=1)

SEVERE_SHARE = 0.4
"""Share of the windows from the third of the volumes with the heaviest load."""


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
    publish(train_on_synthetic(workspace), data, workspace, bundle, figures_path)


def publish(
    weights: StateDict,
    data: Path,
    workspace: Path,
    bundle: Path = FOLDER,
    figures_path: Path = FIGURES,
) -> None:
    """Score the weights, and write figures, card and bundle."""
    figures = evaluate(weights, data, workspace)
    figures["command"] = "python -m recipes.flair_lesions"
    figures["threads"] = torch.get_num_threads()
    figures["training_minutes"] = round(_seconds(workspace / LOG) / 60)
    write_json(figures_path, figures)
    about = metadata(headline(figures), training_statement())
    write_bundle(bundle, weights, card(figures), about)


def trained_weights(workspace: Path) -> StateDict:
    """The weights that an earlier run left in `workspace`."""
    weights: StateDict = torch.load(workspace / WEIGHTS, weights_only=True)
    return weights


def _seconds(log: Path) -> float:
    return float(log.read_text().splitlines()[-1].split(",")[1])


def train_on_synthetic(workspace: Path) -> StateDict:
    """Generate the volumes and train on them, the weights also into `workspace`."""
    volumes = workspace / "synthetic"
    early = [open_source(one) for one in generate(volumes, 0, EARLY_VOLUMES, processes=2)]
    with ThreadPoolExecutor(1) as background:
        rest = background.submit(generate, volumes, EARLY_VOLUMES, VOLUMES, 1)
        pools_at = pools_by_step(early, rest)
        weights = train(build_network(), pools_at, SCHEDULE, workspace / LOG)
    torch.save(weights, workspace / WEIGHTS)
    return weights


def pools_by_step(early: list[Source], rest: Future[list[StoredExample]]) -> Callable[[int], Pools]:
    """What to draw from at each step: the first volumes, and from `EARLY_STEPS` on all of them."""
    everything: list[Source] = []

    def pools_at(step: int) -> Pools:
        if step <= EARLY_STEPS:
            return pools(early)
        if not everything:
            everything.extend([*early, *(open_source(one) for one in rest.result())])
        return pools(everything)

    return pools_at


def pools(sources: list[Source]) -> Pools:
    """All volumes, with more windows from the severe ones."""
    by_load = sorted(sources, key=lambda source: len(source.lesion_voxels), reverse=True)
    return [(by_load[: len(by_load) // 3], SEVERE_SHARE), (sources, 1 - SEVERE_SHARE)]


def evaluate(weights: StateDict, data: Path, workspace: Path) -> dict[str, Any]:
    """Score the weights on every patient, the baseline beside them, and out of domain."""
    pipeline = build_pipeline()
    shipped = {}
    for patient in PATIENTS:
        scan = ms_flair(data, patient)
        shipped[patient] = score_scan(pipeline, weights, scan, prepare(pipeline, scan.image))
    return {
        "intensity_baseline": baseline_figures(data),
        "shipped": shipped,
        "shipped_out_of_domain": out_of_domain(pipeline, weights, data, workspace),
    }


def headline(figures: dict[str, Any]) -> dict[str, float]:
    """The figures for the bundle's metadata: of the shipped weights, which saw no patient."""
    return {f"dice_{patient}": figures["shipped"][patient]["dice"] for patient in PATIENTS}
