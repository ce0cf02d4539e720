"""The methods themselves, by the libraries that have them: from one view to its map.

Grad-CAM and Grad-CAM++ are MONAI's, integrated gradients captum's. Occlusion is captum's too:
MONAI's hides all channels with one value, holds classes x volume in memory, and indexes tensors in
a way that PyTorch is taking back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, prod
from typing import Any

import torch

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.explanation import Method
from napari_medcnn.inference.explain_options import Baseline
from napari_medcnn.inference.explain_score import ClassScore, ShiftedScore

OCCLUDERS_AN_AXIS = 6
"""The cube that hides is this part of the window, where nobody says how large it is."""


class Explainer:
    """Makes maps of one score by one method.

    Parameters
    ----------
    score : ClassScore
        Of a network whose layers can be watched, see
        :func:`~napari_medcnn.inference.explain_layers.open_copy`.
    method : Method
        Which one.
    layer : str, optional
        Of the network, for Grad-CAM and Grad-CAM++.
    baseline : {"mean", "minimum", "zero"}
        What hides, and where integrated gradients start.
    occluder : sequence of int, optional
        Edges of the block that hides, in voxels along ``x, y[, z]``.
    steps : int
        Of integrated gradients.
    """

    def __init__(
        self,
        score: ClassScore,
        method: Method,
        layer: str | None = None,
        *,
        baseline: Baseline = "mean",
        occluder: Sequence[int] | None = None,
        steps: int = 32,
    ) -> None:
        self.score = score
        self._method, self._baseline, self._occluder = method, baseline, occluder
        self._steps = steps
        self._cam = _cam(score, method, layer) if method.startswith("gradcam") else None

    def passes(self, shape: Sequence[int], batch: int) -> int:
        """How often a map of an image ``x, y[, z]`` takes the network forward."""
        if self._method == "occlusion":
            cube, stride = self._cube(shape)
            places = prod(
                ceil((n - w) / s) + 1 for n, w, s in zip(shape, cube, stride, strict=True)
            )
            return 1 + ceil(places / batch)
        return ceil(self._steps / batch) if self._method == "integrated_gradients" else 1

    def score_of(
        self, image: torch.Tensor, weights: torch.Tensor | None, tick: Callable[[], None]
    ) -> float:
        """The score of an image; parameters as for :meth:`map_of`."""
        self.score.weights = weights
        tick()
        with torch.no_grad():
            return float(self.score(image))

    def map_of(
        self,
        image: torch.Tensor,
        weights: torch.Tensor | None,
        batch: int,
        tick: Callable[[], None],
    ) -> torch.Tensor:
        """The map ``(x, y[, z])`` of an image ``(1, channel, x, y[, z])``.

        Parameters
        ----------
        weights : torch.Tensor, optional
            Of the answer's voxels, see :attr:`ClassScore.weights`.
        batch : int
            Changed images at once.
        tick : callable
            Called before each time that the network is taken forward; may raise to end it all.
        """
        self.score.weights = weights
        watch = self.score.register_forward_pre_hook(lambda *_: tick())
        try:
            if self._cam is not None:
                return self._by_features(image)
            if self._method == "occlusion":
                return self._by_hiding(image, batch)
            return self._by_path(image, batch)
        finally:
            watch.remove()

    def _by_features(self, image: torch.Tensor) -> torch.Tensor:
        watched = image.detach().clone().requires_grad_(True)
        found: torch.Tensor = self._cam(x=watched, class_idx=0)  # type: ignore[misc]
        return found.detach()[0, 0]

    def _by_hiding(self, image: torch.Tensor, batch: int) -> torch.Tensor:
        from captum.attr import Occlusion

        cube, stride = self._cube(image.shape[2:])
        channels = image.shape[1]
        with torch.no_grad():
            found: torch.Tensor = Occlusion(self.score).attribute(
                image,
                sliding_window_shapes=(channels, *cube),
                strides=(channels, *stride),
                baselines=_nothing(image, self._baseline),
                target=0,
                perturbations_per_eval=batch,
            )
        return found[0, 0]  # all channels are hidden together

    def _by_path(self, image: torch.Tensor, batch: int) -> torch.Tensor:
        from captum.attr import IntegratedGradients

        found: torch.Tensor = IntegratedGradients(self.score).attribute(
            image,
            baselines=_nothing(image, self._baseline),
            target=0,
            n_steps=self._steps,
            internal_batch_size=batch,
        )
        return found.detach()[0].sum(0)

    def _cube(self, shape: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Edges of the block that hides, and its steps: each voxel is hidden twice an axis."""
        edges = self._occluder or [round(n / OCCLUDERS_AN_AXIS) for n in shape]
        cube = tuple(min(max(edge, 1), n) for edge, n in zip(edges, shape, strict=True))
        return cube, tuple(ceil(edge / 2) for edge in cube)


def _cam(score: ClassScore, method: Method, layer: str | None) -> Any:
    from monai.visualize import GradCAM, GradCAMpp

    if layer is None:
        raise InputMismatch(f"{method} looks into a layer, and none was named")
    kind = GradCAM if method == "gradcam" else GradCAMpp
    return kind(
        ShiftedScore(score),
        target_layers=f"score.network.{layer}",
        postprocessing=lambda values: values,  # MONAI's own turns large into small
    )


def _nothing(image: torch.Tensor, baseline: Baseline) -> torch.Tensor:
    """An image ``(1, channel, x, y[, z])`` of one value a channel."""
    flat = image.flatten(2)
    if baseline == "mean":
        values = flat.mean(2)
    elif baseline == "minimum":
        values = flat.amin(2)
    else:
        values = torch.zeros_like(flat[..., 0])
    return values.reshape(*values.shape, *[1] * (image.ndim - 2)).expand_as(image).clone()
