"""A proposed training job, with the reason of every choice in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from napari_medcnn.training.job import TrainJob

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Reason:
    """Why a field of the job has its value.

    Parameters
    ----------
    where : str
        The field, e.g. ``"sampling.patch"``.
    text : str
        A sentence with the figures that decided.
    """

    where: str
    text: str


@dataclass(frozen=True)
class Choice(Generic[_Value]):
    """A value and why it was taken."""

    value: _Value
    why: str


@dataclass(frozen=True)
class Proposal:
    """A job to look at, change and run.

    Parameters
    ----------
    job : TrainJob
        Complete.
    reasons : tuple of Reason
        In the order of the decisions.
    """

    job: TrainJob
    reasons: tuple[Reason, ...]

    @property
    def text(self) -> str:
        """All reasons, one a line."""
        return "\n".join(f"{reason.where}: {reason.text}" for reason in self.reasons)
