"""What is asked of a network when it is explained, and the same question to fresh weights."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.events import Event, Fallback, JobControl
from napari_medcnn.core.explanation import Method, Randomised, SanityCheck
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.inference.device import release_memory
from napari_medcnn.inference.explain_options import ExplainOptions
from napari_medcnn.inference.explain_view import Spans, View
from napari_medcnn.inference.in_thread import followed
from napari_medcnn.inference.survive import is_out_of_memory, what_did_not_fit

if TYPE_CHECKING:
    import torch

    from napari_medcnn.inference.explain_methods import Explainer

STAGE, CHECKING = "explaining", "checking"
"""The stages of the map itself, and of those with fresh weights."""

Answer = tuple[npt.NDArray[np.float32], float]
"""A map ``(x, y, z)`` on the network's grid, and the score."""


@dataclass(frozen=True, eq=False)
class Question:
    """One score of one image, by one method.

    Parameters
    ----------
    views : sequence of View
        What the network sees.
    spans : tuple of (int, int)
        The box ``(x, y, z)`` of the network's grid that they fill.
    grid : Geometry
        That grid, axes ``(z, y, x)``.
    method, layer
        How the map is made.
    channel : int
        The class's place among the network's outputs.
    options, control, device
        Of the job.
    """

    views: Sequence[View]
    spans: Spans
    grid: Geometry
    method: Method
    channel: int
    layer: str | None
    options: ExplainOptions
    control: JobControl
    device: str

    def answer(
        self, network: torch.nn.Module, stage: str = STAGE
    ) -> Generator[Event, None, Answer]:
        """The map and the score of a network; with smaller batches where memory ends."""
        batch = self.options.batch
        while True:
            try:
                return (yield from self._with_batch(network, stage, batch))
            except Exception as error:
                if batch == 1 or not is_out_of_memory(error):
                    raise
                traceback.clear_frames(error.__traceback__)
                reason = what_did_not_fit(error)
            release_memory(self.device)
            yield Fallback(f"{batch} images at once", f"{batch // 2}", reason)
            batch //= 2

    def checked(
        self, network: torch.nn.Module, values: npt.NDArray[np.float32]
    ) -> Generator[Event, None, SanityCheck | None]:
        """The map beside those of fresh weights, within the window; None where nobody asks."""
        from napari_medcnn.inference.explain_check import compare_maps, forgetting, verdict

        seeds, cascade = self.options.check_seeds, self.options.check_cascade
        if not seeds:
            return None
        box = tuple(slice(max(start, 0), stop) for start, stop in self.spans)
        trials: list[Randomised] = []
        for layers, seed, fresh in forgetting(network, seeds, cascade=cascade):
            other, _ = yield from self.answer(fresh, f"{CHECKING} {len(trials) + 1}")
            trials.append(Randomised(layers, seed, compare_maps(values[box], other[box])))
        return verdict(trials)

    def _with_batch(
        self, network: torch.nn.Module, stage: str, batch: int
    ) -> Generator[Event, None, Answer]:
        explainer = self._explainer(network)
        passes = [1 + explainer.passes(view.image.shape[2:], batch) for view in self.views]

        def work(step: Callable[[], None]) -> Answer:
            into = np.zeros(tuple(reversed(self.grid.shape)), dtype=np.float32)
            score = 0.0
            for view in self.views:
                score += view.share * explainer.score_of(view.image, view.weights, step)
                view.put(explainer.map_of(view.image, view.weights, batch, step), into)
            return into, score

        return (yield from followed(work, stage, sum(passes), self.control))

    def _explainer(self, network: torch.nn.Module) -> Explainer:
        from napari_medcnn.inference.explain_methods import Explainer
        from napari_medcnn.inference.explain_score import ClassScore

        return Explainer(
            ClassScore(network, self.channel).eval(),
            self.method,
            self.layer,
            baseline=self.options.baseline,
            occluder=self._occluder(),
            steps=self.options.steps,
        )

    def _occluder(self) -> list[int] | None:
        """Edges of the cube that hides in voxels of a view, ``x, y[, z]``."""
        edge = self.options.occluder_mm
        if edge is None:
            return None
        sizes = [max(round(edge / mm), 1) for mm in reversed(self.grid.spacing)]
        return [size for axis, size in enumerate(sizes) if axis != self.views[0].hidden_axis]
