"""Does the classifier tell a patient's lesions from places that match them: areas under the ROC.

The interval resamples pairs, a lesion with the place that has its shape: two patients give none
between patients. What has to be beaten is the mean brightness around the same points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import napari_medcnn as mc
from napari_medcnn.core.lesion import LesionTable
from napari_medcnn.core.volume import Volume
from napari_medcnn.evaluation.classification import classification_figures
from napari_medcnn.imaging.components import cut_out_components
from napari_medcnn.inference.score_lesions import lesion_scores
from recipes.flair_lesions.bundle import MIN_LESION_VOLUME_MM3
from recipes.flair_lesions.patients import PATIENTS
from recipes.lesion_classifier.matched import Mask, Match, matched_shapes
from recipes.lesion_classifier.patches import CLASSES, LESION
from recipes.lesion_classifier.real_scans import RealScan, drawn, free_white_matter, real_scan

BALL_MM = 2.5
"""Radius of the ball whose mean brightness is the baseline."""

RESAMPLED = "pairs of a lesion and its match; two patients give no interval between patients"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Answers:
    """What was said of lesions and of places that match them.

    Attributes
    ----------
    truth, pair : numpy.ndarray
        ``(place,)``: 1 for a lesion, 0 for its match; and which belong together.
    score, brightness : numpy.ndarray
        ``(place,)``: the classifier's probability; the mean within a ball, in brain medians.
    unmatched : int
        Lesions for whose shape the white matter had no room: they are not among the places.
    """

    truth: npt.NDArray[np.int64]
    pair: npt.NDArray[np.str_]
    score: Floats
    brightness: Floats
    unmatched: int


def separability(bundle: Path, data: Path) -> dict[str, Any]:
    """Areas under the ROC curve of each patient, and of both pooled."""
    answers = {name: answers_of(bundle, real_scan(data, name)) for name in PATIENTS}
    return {name: figures_of(one) for name, one in {**answers, "both": _pooled(answers)}.items()}


def answers_of(bundle: Path, scan: RealScan) -> Answers:
    """What the classifier says of a patient's lesions and of places that match them."""
    least = MIN_LESION_VOLUME_MM3 / scan.volume.geometry.voxel_volume_mm3
    rng = np.random.default_rng(0)
    lesions, _ = cut_out_components(scan.lesions.astype(np.uint8), least)
    every = matched_shapes(lesions, free_white_matter(scan), rng)
    matches = [match for match in every if match.moved is not None]
    table = _table(scan, matches)
    found = mc.classify(
        scan.volume, bundle, unit="lesion", lesions=table, accept_findings=True, threads=1
    )
    scores = lesion_scores(table, found, LESION)
    bright = scan.in_brain_medians()
    rows = [
        (target, str(number), scores[at], mean_around(bright, table.by_id(at).centroid_index))
        for number, match in enumerate(matches)
        for target, at in (
            (1, _id(table, match.lesion_voxels)),
            (0, _id(table, match.moved_voxels)),
        )
    ]
    truth, pair, score, brightness = zip(*rows, strict=True)
    return Answers(
        np.array(truth),
        np.array(pair),
        np.array(score),
        np.array(brightness),
        len(every) - len(matches),
    )


def mean_around(volume: Volume, centre: Sequence[float]) -> float:
    """Mean value within a ball around a point, an index ``(z, y, x)``."""
    geometry = volume.geometry
    radius = np.ceil(BALL_MM / np.array(geometry.spacing)).astype(int)
    low = np.maximum(np.rint(centre).astype(int) - radius, 0)
    box = tuple(slice(a, a + 2 * r + 1) for a, r in zip(low, radius, strict=True))
    part = volume.array[box]
    index = np.moveaxis(np.indices(part.shape), 0, -1) + low - np.asarray(centre)
    inside = np.linalg.norm(index * geometry.spacing, axis=-1) <= BALL_MM
    return float(part[inside].mean())


def _table(scan: RealScan, matches: Sequence[Match]) -> LesionTable:
    """Lesions and their matches as the lesions of one label map."""
    masks: tuple[Mask, Mask] = np.zeros_like(scan.lesions), np.zeros_like(scan.lesions)
    for match in matches:
        for mask, voxels in zip(masks, (match.lesion_voxels, match.moved_voxels), strict=True):
            mask[tuple(voxels.T)] = True
    return mc.lesions(drawn(scan, *masks), scan.volume, min_volume_mm3=0, accept_findings=True)


def _id(table: LesionTable, voxels: npt.NDArray[np.intp]) -> int:
    z, y, x = voxels[0]
    return int(table.id_map[z, y, x])


def _pooled(answers: dict[str, Answers]) -> Answers:
    each = list(answers.items())
    return Answers(
        np.concatenate([one.truth for _, one in each]),
        np.concatenate([np.char.add(f"{name} ", one.pair) for name, one in each]),
        np.concatenate([one.score for _, one in each]),
        np.concatenate([one.brightness for _, one in each]),
        sum(one.unmatched for _, one in each),
    )


def figures_of(answers: Answers) -> dict[str, Any]:
    """Areas under the ROC curve of the classifier and of brightness, with their intervals."""
    told: dict[str, Any] = {
        "pairs": int(answers.truth.sum()),
        "lesions_without_a_match": answers.unmatched,
        "resampled": RESAMPLED,
    }
    spread = np.ptp(answers.brightness) or 1.0
    bright = (answers.brightness - answers.brightness.min()) / spread
    for title, score in (("classifier", answers.score), ("brightness", bright)):
        both = np.stack([1 - score, score], axis=1)
        judged = classification_figures(answers.truth, both, CLASSES, groups=answers.pair.tolist())
        area = judged.macro_auc
        told[title] = {"auc": area.estimate, "low": area.low, "high": area.high}
        if title == "classifier":
            told["accuracy"] = judged.accuracy.estimate
    return told
