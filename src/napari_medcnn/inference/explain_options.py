"""What the user chooses of an explanation: device, baseline, step sizes, and the sanity check."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.models.spec import ModelSpec

Baseline = Literal["mean", "minimum", "zero"]
"""What stands for "nothing is there": one value a channel of what the network sees."""

CHECK_SEEDS = (0, 1, 2)
"""Of the fresh weights that a map is checked against where the user asks for a check."""


@dataclass(frozen=True)
class ExplainOptions:
    """How an explanation is made.

    Parameters
    ----------
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
    threads : int, optional
        Of the CPU, for this run only; None takes all cores.
    batch : int
        Changed images that go through the network at once, by occlusion and integrated gradients;
        halved where memory does not suffice.
    baseline : {"mean", "minimum", "zero"}
        What occlusion hides with, and where integrated gradients start: each channel's mean or
        smallest value in the window, or 0.
    occluder_mm : float, optional
        Edge of the cube that hides; None takes a sixth of the window along each axis.
    steps : int
        Points on the way from the baseline to the image, of integrated gradients.
    check_seeds : tuple of int
        The sanity check's fresh weights, one trial each; empty for no check.
    check_cascade : bool
        Whether the check also goes through the network from its output to its input and makes one
        layer after the other forget, as far as eight stops.
    accept_findings : bool
        Go on although something was found that forbids measuring without the user's yes.
    """

    device: str = "auto"
    threads: int | None = None
    batch: int = 4
    baseline: Baseline = "mean"
    occluder_mm: float | None = None
    steps: int = 32
    check_seeds: tuple[int, ...] = ()
    check_cascade: bool = False
    accept_findings: bool = False

    def __post_init__(self) -> None:
        if self.batch < 1 or self.steps < 2:
            raise ValueError("an explanation needs a batch of 1 or more and 2 steps or more")
        if self.occluder_mm is not None and not self.occluder_mm > 0:
            raise ValueError("the cube that hides needs an edge above 0 mm")

    def to_json(self) -> dict[str, Any]:
        """As a record keeps them."""
        return {**asdict(self), "check_seeds": list(self.check_seeds)}


def require_explainable(spec: ModelSpec) -> None:
    """Refuse a model whose answers no map can be made of.

    Raises
    ------
    InputMismatch
        When it draws boxes.
    """
    if spec.task == "detection":
        raise InputMismatch(
            f"{spec.title} draws boxes, which cannot be explained",
            hint="choose a model that classifies or segments",
        )
