"""Several answers to one window, from mirrored windows or several networks, as one backend."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from napari_medcnn.inference.backends.base import Backend
from napari_medcnn.inference.decide import activate
from napari_medcnn.inference.options import Mirroring
from napari_medcnn.models.spec import ModelSpec

if TYPE_CHECKING:
    import torch


class Averaged(Backend):
    """The mean of the logits of several networks, each on windows mirrored in several ways.

    Parameters
    ----------
    members : sequence of Backend
        Networks of one model on one device.
    spec : ModelSpec
        That model.
    mirrors : sequence of tuple of int
        Axes of the windows ``(batch, channel, x, y, z)`` to mirror, one tuple an answer; ``()``
        leaves them as they are.
    variance : bool
        Whether to add a last channel: over all answers, the largest variance of a class's
        probability.
    """

    def __init__(
        self,
        members: Sequence[Backend],
        spec: ModelSpec,
        mirrors: Sequence[tuple[int, ...]],
        *,
        variance: bool = False,
    ) -> None:
        self._members, self._spec, self._mirrors = list(members), spec, list(mirrors)
        self._variance = variance
        self.name = members[0].name
        self.device = members[0].device
        self.precision = members[0].precision

    def logits(self, windows: torch.Tensor) -> torch.Tensor:
        """See :class:`~napari_medcnn.inference.backends.base.Backend`."""
        import torch

        with torch.inference_mode():
            mean: torch.Tensor | None = None
            moments: list[torch.Tensor] = []
            for answer in self._answers(windows):
                mean = answer.clone() if mean is None else mean.add_(answer)
                if self._variance:
                    _accumulate(moments, activate(answer.clone(), self._spec.activation, 1))
            if mean is None:
                raise ValueError("there are no networks")
            count = len(self._members) * len(self._mirrors)
            mean /= count
            if not self._variance:
                return mean
            first, second = (moment / count for moment in moments)
            spread = (second - first.square_()).clamp_(min=0).amax(1, keepdim=True)
            return torch.cat([mean, spread], 1)

    def close(self) -> None:
        """Let go of all networks."""
        for member in self._members:
            member.close()

    def _answers(self, windows: torch.Tensor) -> Iterator[torch.Tensor]:
        for mirror in self._mirrors:
            seen = windows.flip(mirror) if mirror else windows
            for member in self._members:
                logits = member.logits(seen)
                yield logits.flip(mirror) if mirror else logits


def mirrors_of(spec: ModelSpec, mirroring: Mirroring) -> list[tuple[int, ...]]:
    """In which ways windows ``(batch, channel, x, y, z)`` are mirrored, as they are first."""
    if mirroring == "none":
        return [()]
    axes = (0, 1, 2) if mirroring == "all" else spec.mirror_axes
    dims = sorted(4 - axis for axis in axes)  # z, y, x are the last axes, in reverse
    return [some for n in range(len(dims) + 1) for some in itertools.combinations(dims, n)]


def _accumulate(moments: list[torch.Tensor], probability: torch.Tensor) -> None:
    """Add a probability and its square to their sums."""
    if not moments:
        moments.extend((probability, probability.square()))
        return
    moments[1].addcmul_(probability, probability)
    moments[0].add_(probability)
