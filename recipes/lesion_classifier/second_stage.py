"""The classifier behind the lesion model: precision by lesion before and after, at equal recall.

Candidates and true lesions are partners by `evaluation.lesion_wise`. Equal recall is the strictest
operating point that drops no candidate with a partner; it is chosen on the patient itself, and
flatters. Beside it stand an operating point that nobody chose, a calibrated probability of one
half, and the lesion model's own mean probability as the score.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import napari_medcnn as mc
from napari_medcnn.core.lesion import LesionTable
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.evaluation.lesion_wise import pair_lesions
from napari_medcnn.inference.score_lesions import lesion_scores
from recipes.flair_lesions.bundle import FOLDER as LESION_MODEL
from recipes.flair_lesions.bundle import MIN_LESION_VOLUME_MM3
from recipes.flair_lesions.patients import PATIENTS
from recipes.lesion_classifier.patches import LESION
from recipes.lesion_classifier.real_scans import RealScan, real_scan

THRESHOLDS = (0.5, 0.2)
"""Of the lesion model: its own, and one from which it marks more than it should."""

HALF = 0.5


@dataclass(frozen=True, eq=False)
class Candidates:
    """The lesions that a model marked in a scan.

    Attributes
    ----------
    truths : int
        True lesions.
    hits, idle : frozenset of int
        Ids of candidates with a partner, and of those that touch no true lesion.
    scores, own : mapping
        Of each candidate by its id: the classifier's score, the lesion model's mean probability.
    """

    truths: int
    hits: frozenset[int]
    idle: frozenset[int]
    scores: Mapping[int, float]
    own: Mapping[int, float]


def second_stage(bundle: Path, data: Path) -> dict[str, Any]:
    """Figures of each patient, at each threshold of the lesion model."""
    scans = {name: real_scan(data, name) for name in PATIENTS}
    return {name: _of_scan(bundle, scan) for name, scan in scans.items()}


def _of_scan(bundle: Path, scan: RealScan) -> dict[str, Any]:
    likely = mc.segment(scan.volume, LESION_MODEL, accept_findings=True, threads=1)
    if likely.probability is None:
        raise RuntimeError("the lesion model gave no probabilities")
    found = {}
    for threshold in THRESHOLDS:
        array = (likely.probability >= threshold).astype(np.uint8)
        candidates = candidates_of(bundle, scan, replace(likely, array=array))
        found[f"from {threshold:g}"] = figures(candidates)
    return found


def candidates_of(bundle: Path, scan: RealScan, marked: Segmentation) -> Candidates:
    """The lesions of a label map of the lesion model, and what the classifier says of them."""
    table = mc.lesions(marked, scan.volume, accept_findings=True)
    found = mc.classify(
        scan.volume, bundle, unit="lesion", lesions=table, accept_findings=True, threads=1
    )
    truths, hits, idle = _held_against(table, scan)
    own = {one.id: one.mean_probability.value or 0.0 for one in table.lesions}
    return Candidates(truths, hits, idle, lesion_scores(table, found, LESION), own)


def figures(candidates: Candidates) -> dict[str, Any]:
    """Precision and recall before and after the second stage."""
    everyone = frozenset(candidates.scores)
    half = frozenset(n for n, score in candidates.scores.items() if score >= HALF)
    return {
        "before": counted(candidates, everyone),
        "equal_recall": counted(candidates, at_equal_recall(candidates, candidates.scores)),
        "equal_recall_by_own_probability": counted(
            candidates, at_equal_recall(candidates, candidates.own)
        ),
        "from_one_half": counted(candidates, half),
    }


def at_equal_recall(candidates: Candidates, scores: Mapping[int, float]) -> frozenset[int]:
    """The candidates whose score is at least the smallest of those with a partner."""
    least = min((scores[n] for n in candidates.hits), default=np.inf)
    return frozenset(n for n, score in scores.items() if score >= least)


def counted(candidates: Candidates, kept: frozenset[int]) -> dict[str, Any]:
    """Candidates that are kept, those with a partner, those that touch nothing, and the shares."""
    hits = len(kept & candidates.hits)
    return {
        "candidates": len(kept),
        "matched": hits,
        "touch_none": len(kept & candidates.idle),
        "precision": hits / len(kept) if kept else None,
        "recall": hits / candidates.truths if candidates.truths else None,
    }


def _held_against(table: LesionTable, scan: RealScan) -> tuple[int, frozenset[int], frozenset[int]]:
    """True lesions, the ids of candidates with a partner, and of those that touch none."""
    pairs = pair_lesions(
        table.id_map,
        scan.lesions,
        scan.volume.geometry.voxel_volume_mm3,
        min_volume_mm3=MIN_LESION_VOLUME_MM3,
    )
    hits = frozenset(int(table.id_map[pairs.found == number].max()) for number, _ in pairs.partners)
    touching = set(np.unique(table.id_map[scan.lesions]).tolist())
    everyone = {lesion.id for lesion in table.lesions}
    return len(pairs.true_sizes), hits, frozenset(everyone - touching)
