"""What a training makes small: losses of logits against labels or classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.training.job import TrainJob

Logits = torch.Tensor | Sequence[torch.Tensor]
LossFunction = Callable[[Any, torch.Tensor], torch.Tensor]

SMOOTH = 1e-5
"""Added to numerator and denominator of overlaps: a class that is nowhere costs what is said of it,
and divides nothing by zero."""

FOCUS = 2.0
"""The exponent of the focal loss (Lin et al., ICCV 2017)."""

TVERSKY_FALSE_POSITIVES, TVERSKY_FALSE_NEGATIVES = 0.3, 0.7
"""Misses cost more than false alarms (Salehi et al., MLMI 2017)."""


def loss_of(job: TrainJob) -> LossFunction:
    """The job's loss: a function ``loss(logits, target)`` that gives a scalar in float32.

    Logits of a segmentation are ``(batch, class, x, y[, z])``, background first; or, of deep
    supervision, a list of these or one tensor ``(batch, resolution, class, x, y[, z])``, the full
    resolution first. The target is ``(batch, 1, x, y[, z])`` with labels 0, 1, 2, ...; of a
    classification, with logits ``(batch, class)``, it is ``(batch,)`` with the class's number.

    Overlaps (Dice, Tversky) are of the whole batch and leave the background out, as nnU-Net's do;
    cross-entropy and focal loss, the latter by the softmax, see every class.

    Raises
    ------
    MedcnnError
        When the task has no such loss, or there is another number of weights than of classes.
    """
    chosen = job.optimisation
    outputs = len(job.manifest.classes) + (job.manifest.task == "segmentation")
    weights = chosen.class_weights
    if weights is not None and len(weights) != outputs:
        raise MedcnnError(
            f"there are {len(weights)} class weights for {outputs} classes",
            source=job.name,
            hint="the background counts as a class of a segmentation",
        )
    weight = None if weights is None else torch.tensor(weights, dtype=torch.float32)
    if job.manifest.task == "classification":
        if chosen.loss not in ("cross_entropy", "focal"):
            raise MedcnnError(f"the loss {chosen.loss} is for segmentation", source=job.name)
        return _flat(chosen.loss, weight)
    return deeply_supervised(_dense(chosen.loss, weight))


def supervision_weights(resolutions: int) -> tuple[float, ...]:
    """Shares of the resolutions in the loss, full one first: halved from one to the next."""
    raw = [0.5**number for number in range(resolutions)]
    return tuple(value / sum(raw) for value in raw)


def deeply_supervised(loss: LossFunction) -> LossFunction:
    """The loss of one or several resolutions of logits against the same labels.

    A resolution that is coarser than the labels is held against the nearest of them.
    """

    def whole(logits: Logits, target: torch.Tensor) -> torch.Tensor:
        if isinstance(logits, torch.Tensor) and logits.dim() == target.dim():
            return loss(logits.float(), target)
        each = list(logits.unbind(1)) if isinstance(logits, torch.Tensor) else list(logits)
        shares = supervision_weights(len(each))
        terms = [
            share * loss(one.float(), _at_size(target, one.shape[2:]))
            for share, one in zip(shares, each, strict=True)
        ]
        return torch.stack(terms).sum()

    return whole


def _dense(name: str, weight: torch.Tensor | None) -> LossFunction:
    """The loss of a label map."""
    overlap = _overlap(name)
    term = _focal if name in ("focal", "dice_focal") else _cross_entropy

    def loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        by_voxel = term(logits, target[:, 0].long(), weight)
        return by_voxel if overlap is None else by_voxel + overlap(logits, target)

    return loss


def _flat(name: str, weight: torch.Tensor | None) -> LossFunction:
    """The loss of a class an image."""
    term = _focal if name == "focal" else _cross_entropy

    def loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return term(logits.float(), target.long(), weight)

    return loss


def _overlap(name: str) -> LossFunction | None:
    from monai.losses import DiceLoss, TverskyLoss

    shared = {
        "include_background": False,
        "to_onehot_y": True,
        "softmax": True,
        "batch": True,
        "smooth_nr": SMOOTH,
        "smooth_dr": SMOOTH,
    }
    loss: LossFunction | None = None
    if name.startswith("dice"):
        loss = DiceLoss(**shared)
    elif name == "tversky":
        loss = TverskyLoss(alpha=TVERSKY_FALSE_POSITIVES, beta=TVERSKY_FALSE_NEGATIVES, **shared)
    return loss


def _cross_entropy(
    logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None
) -> torch.Tensor:
    """The weighted mean; 0 where nothing has a weight, which PyTorch's own divides by."""
    if weight is None:
        return functional.cross_entropy(logits, target)
    there = weight.to(logits)
    summed = functional.cross_entropy(logits, target, there, reduction="sum")
    return summed / there[target].sum().clamp_min(SMOOTH)


def _focal(logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
    """``-w (1 - p)^2 log p`` of the true class, as a weighted mean like the cross-entropy's.

    MONAI's averages over classes too, which makes it as many times smaller beside a Dice term.
    """
    log_p = functional.log_softmax(logits, 1).gather(1, target.unsqueeze(1)).squeeze(1)
    each = -((1 - log_p.exp()) ** FOCUS) * log_p
    if weight is None:
        return each.mean()
    share = weight.to(logits)[target]
    return (share * each).sum() / share.sum().clamp_min(SMOOTH)


def _at_size(target: torch.Tensor, size: torch.Size) -> torch.Tensor:
    if target.shape[2:] == size:
        return target
    return functional.interpolate(target.float(), tuple(size), mode="nearest-exact").long()
