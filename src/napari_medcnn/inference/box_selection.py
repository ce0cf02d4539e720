"""From the maps of a detection network to the boxes that MONAI's detector would choose.

MONAI turns every place of every map into a box first and chooses afterwards; here only boxes that
can be chosen are made, a few thousand of some millions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.apps.detection.utils import anchor_utils
from monai.apps.detection.utils.box_coder import BoxCoder
from monai.apps.detection.utils.box_selector import BoxSelector

from napari_medcnn.models.detector import Detector


@dataclass(frozen=True, eq=False)
class FoundBoxes:
    """Boxes on the network's grid, the highest score first.

    Parameters
    ----------
    boxes : numpy.ndarray
        ``(n, 6)``: x, y, z of one corner and of the opposite one, in box coordinates (see
        :class:`~napari_medcnn.models.detector.Detector`).
    scores : numpy.ndarray
        ``(n,)``.
    classes : numpy.ndarray
        ``(n,)``, from 0 on.
    """

    boxes: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    classes: npt.NDArray[np.int64]


def select_boxes(
    class_maps: Sequence[torch.Tensor],
    box_maps: Sequence[torch.Tensor],
    detector: Detector,
    *,
    padded: Sequence[int],
    shape: Sequence[int],
    score_threshold: float,
) -> FoundBoxes:
    """Choose boxes as ``RetinaNetDetector`` does: by score, by level, by overlap.

    Parameters
    ----------
    class_maps, box_maps : sequence of torch.Tensor
        Of each level ``(anchor × class, x, y, z)`` and ``(anchor × 6, x, y, z)``. Places without a
        number are left out.
    padded, shape : sequence of int
        The image ``(x, y, z)`` as the network saw it, and without what it was filled up with.
    score_threshold : float
        Boxes with less are dropped.
    """
    generator = _generator(detector)
    coder = BoxCoder(weights=detector.coder_weights)
    selector = BoxSelector(
        apply_sigmoid=detector.apply_sigmoid,
        score_thresh=score_threshold,
        topk_candidates_per_level=detector.candidates_per_level,
        nms_thresh=detector.nms_overlap,
        detections_per_img=detector.most_boxes,
    )
    boxes, logits = [], []
    for level, (classes, regressions) in enumerate(zip(class_maps, box_maps, strict=True)):
        cells = generator.cell_anchors[level]
        scores = by_anchor(classes, len(cells))
        best, _, _ = selector.select_top_score_idx_per_level(scores)
        rows = torch.unique(best)  # a place may be chosen for several classes
        anchors = anchors_at(rows, cells, classes.shape[1:], padded, detector)
        found = _rows(regressions, len(cells), rows)
        boxes.append(coder.decode_single(found.float(), anchors))
        logits.append(scores[rows])
    chosen, scores, labels = selector.select_boxes_per_image(boxes, logits, list(shape))
    return FoundBoxes(
        chosen.double().numpy(), scores.double().numpy(), labels.numpy().astype(np.int64)
    )


def by_anchor(maps: torch.Tensor, anchors: int) -> torch.Tensor:
    """Maps ``(anchor × n, x, y, z)`` as rows ``(x × y × z × anchor, n)``."""
    split = maps.reshape(anchors, -1, *maps.shape[1:])
    return split.permute(2, 3, 4, 0, 1).reshape(-1, split.shape[1])


def anchors_at(
    rows: torch.Tensor,
    cells: torch.Tensor,
    grid: Sequence[int],
    image: Sequence[int],
    detector: Detector,
) -> torch.Tensor:
    """The anchors ``(n, 6)`` of some rows of a level, as MONAI's generator makes them of all.

    Parameters
    ----------
    cells : torch.Tensor
        ``(anchor, 6)`` around 0.
    grid, image : sequence of int
        Sizes ``(x, y, z)`` of the level's map and of the image.
    """
    place, anchor = rows // len(cells), rows % len(cells)
    steps = [n // g for n, g in zip(image, grid, strict=True)]
    along = (place // (grid[1] * grid[2]), place // grid[2] % grid[1], place % grid[2])
    centres = [a * step + step // 2 for a, step in zip(along, steps, strict=True)]
    if detector.anchors.get("indexing", "ij") == "xy":
        centres[0], centres[1] = centres[1], centres[0]
    return torch.stack(centres * 2, dim=1) + cells[anchor]


def _rows(maps: torch.Tensor, anchors: int, rows: torch.Tensor) -> torch.Tensor:
    """Some rows of :func:`by_anchor`, without making all of them."""
    split = maps.reshape(anchors, -1, maps[0].numel())
    return split[rows % anchors, :, rows // anchors]


def _generator(detector: Detector) -> Any:
    arguments = {k: v for k, v in detector.anchors.items() if k != "_target_"}
    return getattr(anchor_utils, detector.anchors["_target_"])(**arguments)
