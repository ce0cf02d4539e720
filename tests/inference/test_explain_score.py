"""The explained number, and the methods on it against their definitions and their libraries."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.inference.explain_layers import open_copy
from napari_medcnn.inference.explain_methods import Explainer
from napari_medcnn.inference.explain_score import ClassScore, ShiftedScore


class Network(torch.nn.Module):
    """Two convolutions, and a map of logits or one answer an image."""

    def __init__(self, dense: bool, scale: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3, padding=1), torch.nn.ReLU())
        self.last = torch.nn.Conv2d(4, 3, 3, padding=1)
        self.dense, self.scale = dense, scale

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        voxels = self.last(self.first(images)) * self.scale
        return [voxels if self.dense else voxels.mean((2, 3)), voxels]


@pytest.fixture
def image() -> torch.Tensor:
    return torch.randn(1, 2, 12, 10, generator=torch.Generator().manual_seed(1))


def test_the_score_is_the_first_outputs_logit_or_its_weighted_mean(image) -> None:
    alone = ClassScore(Network(False), 2)(image)
    torch.testing.assert_close(alone[0], Network(False)(image)[0][0, 2:])
    dense = ClassScore(Network(True), 1)
    with pytest.raises(InputMismatch, match="for each voxel"):
        dense(image)
    dense.weights = torch.zeros(12, 10)
    dense.weights[3, 4], dense.weights[3, 5] = 0.25, 0.75
    logits = Network(True)(image)[0][0, 1]
    expected = 0.25 * logits[3, 4] + 0.75 * logits[3, 5]
    torch.testing.assert_close(dense(image)[0, 0], expected)
    with pytest.raises(InputMismatch, match="tells 3 classes"):
        ClassScore(Network(False), 3)(image)


def test_gradcam_is_the_mean_gradient_of_each_feature_times_the_feature(image) -> None:
    network = Network(False)
    features = network.first(image).detach().requires_grad_(True)
    network.last(features).mean((2, 3))[0, 1].backward()
    assert features.grad is not None
    weights = features.grad.mean((2, 3), keepdim=True)
    expected = torch.relu((weights * features).sum(1))[0].detach()
    explainer = Explainer(ClassScore(open_copy(network), 1), "gradcam", "first")
    torch.testing.assert_close(explainer.map_of(image, None, 1, lambda: None), expected)


def test_gradcam_plus_plus_outlives_logits_whose_exponential_is_no_number(image) -> None:
    for scale in (1.0, 1e4):
        score = ClassScore(open_copy(Network(False, scale)), 0)
        found = Explainer(score, "gradcam++", "first").map_of(image, None, 1, lambda: None)
        assert torch.isfinite(found).all()
        assert found.max() > 0
    assert float(ShiftedScore(score)(image).detach()) == 0


def test_integrated_gradients_sum_to_the_difference_of_the_scores(image) -> None:
    score = ClassScore(open_copy(Network(False)), 0)
    explainer = Explainer(score, "integrated_gradients", baseline="minimum", steps=64)
    ticks: list[int] = []
    found = explainer.map_of(image, None, 10, lambda: ticks.append(1))
    nothing = image.flatten(2).amin(2)[..., None, None].expand_as(image)
    with torch.no_grad():
        difference = float(score(image) - score(nothing))
    assert float(found.sum()) == pytest.approx(difference, rel=0.05)
    assert len(ticks) == explainer.passes((12, 10), 10) == 7


def test_occlusion_without_overlap_agrees_with_monais(image) -> None:
    """Both hide with zero; MONAI's gives the score that is left, on blocks that do not overlap."""
    from monai.visualize import OcclusionSensitivity

    score = ClassScore(open_copy(Network(False)), 0)
    explainer = Explainer(score, "occlusion", baseline="zero", occluder=(1, 1))
    ticks: list[int] = []
    found = explainer.map_of(image, None, 16, lambda: ticks.append(1))
    assert len(ticks) == explainer.passes((12, 10), 16) == 1 + 8
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of indexing that torch is taking back
        left, _ = OcclusionSensitivity(
            score, mask_size=1, n_batch=16, mode=0.0, overlap=0.0, activate=False, verbose=False
        )(image)
        whole = float(score(image))
    np.testing.assert_allclose(found, whole - left[0, 0].as_tensor(), atol=1e-5)


@pytest.mark.parametrize(("occluder", "batch"), [(None, 3), ((5, 3), 4), ((50, 50), 1)])
def test_the_passes_of_occlusion_are_told_right(image, occluder, batch) -> None:
    score = ClassScore(open_copy(Network(False)), 0)
    explainer = Explainer(score, "occlusion", occluder=occluder)
    ticks: list[int] = []
    explainer.map_of(image, None, batch, lambda: ticks.append(1))
    assert len(ticks) == explainer.passes((12, 10), batch)
