"""Judge a network on whole validation cases, as a user will run it."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import Cancelled
from napari_medcnn.core.events import Event, JobControl, Progress
from napari_medcnn.evaluation.overlap import dice
from napari_medcnn.training.distributed import Ranks
from napari_medcnn.training.job import TrainJob
from napari_medcnn.training.manifest import Manifest
from napari_medcnn.training.prepared_case import PreparedCase

if TYPE_CHECKING:
    import torch

STAGE = "validating"

OVERLAP = 0.5
"""Of neighbouring windows, which count by a Gaussian."""

WINDOWS_AT_ONCE = 4

Logits = Callable[["torch.Tensor"], "torch.Tensor"]
"""From a batch on the CPU to float32 logits on the CPU."""


@dataclass(frozen=True, eq=False)
class CaseScore:
    """What one validation case gave.

    Parameters
    ----------
    id : str
        Of the case.
    loss : float
        Of the whole case.
    dice : tuple of float, optional
        Segmentation: of each class; NaN where neither truth nor prediction has it.
    target, probabilities : int, tuple of float
        Classification: the true class, and what the network said.
    prediction : numpy.ndarray, optional
        Segmentation, of the first case alone: labels ``(z, y, x)`` on the network's grid.
    """

    id: str
    loss: float
    dice: tuple[float, ...] = ()
    target: int = 0
    probabilities: tuple[float, ...] = ()
    prediction: npt.NDArray[np.uint8] | None = field(default=None, repr=False)


def metric_names(manifest: Manifest) -> tuple[str, ...]:
    """The names of what a validation measures, as in tables and events."""
    if manifest.task == "segmentation":
        return ("validation_loss", "dice", *(f"dice {name}" for name in manifest.classes))
    return ("validation_loss", "balanced_accuracy", "accuracy", "auc")


def column_of(metric: str) -> str:
    """The name in tables and events of what :class:`~..job.Ending` calls `metric`."""
    return "validation_loss" if metric == "loss" else metric


def validate(
    job: TrainJob,
    cases: Mapping[str, Callable[[], PreparedCase]],
    logits: Logits,
    loss: Callable[[Any, Any], torch.Tensor],
    control: JobControl,
    ranks: Ranks,
) -> Generator[Event, None, tuple[dict[str, float], CaseScore | None]]:
    """Judge a network; a generator of `Progress` that returns the metrics and the first case.

    Parameters
    ----------
    cases : mapping
        How to get each validation case; every process judges its share of them.
    logits : callable
        The network in evaluation mode.
    loss : callable
        The job's.

    Returns
    -------
    dict, CaseScore
        The means over all processes' cases, the same in each; the score of the first case where it
        was this process that judged it.

    Raises
    ------
    Cancelled
        In every process, when the job was cancelled in one.
    """

    def watched(batch: torch.Tensor) -> torch.Tensor:
        control.checkpoint()
        return logits(batch)

    judge = _segmented if job.manifest.task == "segmentation" else _classified
    own = list(cases)[ranks.rank :: ranks.world]
    scores: list[CaseScore] = []
    cancelled = False
    yield Progress(STAGE, 0, len(own))
    try:
        for number, name in enumerate(own, start=1):
            control.checkpoint()
            scores.append(judge(job, cases[name](), watched, loss, number == 1))
            yield Progress(STAGE, number, len(own))
    except Cancelled:
        cancelled = True
    if ranks.any(cancelled):
        raise Cancelled
    figures = [(s.id, s.loss, s.dice, s.target, s.probabilities) for s in scores]
    gathered = [CaseScore(*one) for there in ranks.gather(figures) for one in there]
    order = {name: number for number, name in enumerate(cases)}
    gathered.sort(key=lambda score: order[score.id])  # sums do not hang on who judged what
    return summarise(job.manifest, gathered), scores[0] if ranks.is_first and scores else None


def summarise(manifest: Manifest, scores: Sequence[CaseScore]) -> dict[str, float]:
    """The metrics of all cases; NaN where one does not exist."""
    found = {"validation_loss": _mean([score.loss for score in scores])}
    if manifest.task == "segmentation":
        table = np.array([score.dice for score in scores], dtype=float)
        found["dice"] = _mean(table.ravel())
        for number, name in enumerate(manifest.classes):
            found[f"dice {name}"] = _mean(table[:, number])
        return found
    return found | _of_classes(
        np.array([score.target for score in scores]),
        np.array([score.probabilities for score in scores], dtype=float),
    )


def window_logits(job: TrainJob, image: torch.Tensor, logits: Logits) -> torch.Tensor:
    """Logits ``(class, x, y, z)`` of a whole prepared image ``(channel, x, y, z)``.

    A network of two dimensions sees slice after slice along z.
    """
    from monai.inferers import sliding_window_inference

    x, y, z = job.sampling.patch[::-1]
    flat = job.network.dimensions == 2
    inputs = image.permute(3, 0, 1, 2) if flat else image[None]
    found = sliding_window_inference(
        inputs,
        (x, y) if flat else (x, y, z),
        WINDOWS_AT_ONCE,
        logits,
        overlap=OVERLAP,
        mode="gaussian",
    )
    whole: torch.Tensor = found.permute(1, 2, 3, 0) if flat else found[0]
    return whole


def _segmented(
    job: TrainJob, case: PreparedCase, logits: Logits, loss: Any, keep: bool
) -> CaseScore:
    import torch

    with torch.no_grad():
        found = window_logits(job, case.image, logits)
        truth = torch.as_tensor(case.label)
        value = float(loss(found[None], truth[None, None].long()))
        labels = found.argmax(0).numpy().astype(np.uint8)
    true = truth.numpy()
    each = [dice(labels == n, true == n) for n in range(1, len(job.manifest.classes) + 1)]
    return CaseScore(
        case.id,
        value,
        dice=tuple(math.nan if one is None else one for one in each),
        prediction=np.ascontiguousarray(labels.transpose(2, 1, 0)) if keep else None,
    )


def _classified(
    job: TrainJob, case: PreparedCase, logits: Logits, loss: Any, keep: bool
) -> CaseScore:
    import torch

    image = case.image[None]
    target = torch.tensor([int(case.label)])
    with torch.no_grad():
        found = logits(image[..., 0] if job.network.dimensions == 2 else image)
        value = float(loss(found, target))
        said = tuple(float(share) for share in found[0].double().softmax(0))
    return CaseScore(case.id, value, target=int(case.label), probabilities=said)


def _of_classes(true: npt.NDArray[Any], given: npt.NDArray[Any]) -> dict[str, float]:
    from sklearn import metrics

    said, present = given.argmax(1), np.unique(true)
    recalls = metrics.recall_score(true, said, labels=present, average=None, zero_division=0.0)
    areas = [
        metrics.roc_auc_score(true == number, given[:, number])
        for number in range(given.shape[1])
        if 0 < np.sum(true == number) < len(true)
    ]
    return {
        "balanced_accuracy": _mean(recalls),
        "accuracy": float(metrics.accuracy_score(true, said)),
        "auc": _mean(areas) if len(areas) == given.shape[1] else math.nan,
    }


def _mean(values: Sequence[float] | npt.NDArray[Any]) -> float:
    """Of those that exist; NaN without any."""
    kept = np.asarray(values, dtype=float)
    kept = kept[~np.isnan(kept)]
    return float(kept.mean()) if len(kept) else math.nan
