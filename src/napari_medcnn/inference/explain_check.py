"""Does a map hang on what a network has learnt? Its weights are made to forget, and maps compared.

Adebayo et al. 2018, Sanity Checks for Saliency Maps, arXiv:1810.03292.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.explanation import Agreement, Randomised, SanityCheck

if TYPE_CHECKING:
    import torch

SIMILAR = 0.5
"""Rank correlation, its sign left out, from which a map of fresh weights counts as the same one.
A convention: nobody has shown where the border lies, so the figures stand beside the verdict."""

STOPS = 8
"""Stops of a cascade at most; they are spread evenly over the layers."""

SSIM_WINDOW = 7
"""Edge of the window of structural similarity, as scikit-image proposes it."""

FLAT = "one of the maps has a single value"
SMALL = "the map is too small for structural similarity"


def randomised(network: torch.nn.Module, seed: int, last: int | None = None) -> torch.nn.Module:
    """A copy of a network with fresh weights.

    Weights are drawn as torch draws those of a new layer; statistics of batch normalisation start
    anew with them.

    Parameters
    ----------
    network : torch.nn.Module
        Left as it is.
    seed : int
        Of the weights.
    last : int, optional
        Only so many layers with weights forget, counted from the last one; None means all. Layers
        count in the order in which the network defines them.
    """
    import copy

    import torch

    forgetful = copy.deepcopy(network)
    layers = [module for _, module in weighted_layers(forgetful)]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for layer in reversed(layers if last is None else layers[max(len(layers) - last, 0) :]):
            _forget(layer)
    return forgetful


def weighted_layers(network: torch.nn.Module) -> list[tuple[str, torch.nn.Module]]:
    """The modules with weights of their own, in the order in which the network defines them."""
    return [
        (name, module)
        for name, module in network.named_modules()
        if any(True for _ in module.parameters(recurse=False))
    ]


def forgetting(
    network: torch.nn.Module, seeds: Sequence[int], *, cascade: bool
) -> Iterator[tuple[str, int, torch.nn.Module]]:
    """Networks to compare with: what of them is fresh, the seed, and the network.

    Those that forget all come first, one a seed; then with `cascade` those of the first seed in
    which more and more layers forget, from the output on.
    """
    for seed in seeds:
        yield "all", seed, randomised(network, seed)
    if not cascade or not seeds:
        return
    names = [name for name, _ in weighted_layers(network)]
    for last in _stops(len(names)):
        yield f"from {names[-last]} on", seeds[0], randomised(network, seeds[0], last)


def compare_maps(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> Agreement:
    """How alike two maps of one shape are."""
    from scipy.stats import spearmanr
    from skimage.metrics import structural_similarity

    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return Agreement(None, None, FLAT)
    ranks = float(spearmanr(first, second, axis=None).statistic)
    a, b = (np.squeeze((m - m.min()) / np.ptp(m)).astype(np.float64) for m in (first, second))
    edge = min(SSIM_WINDOW, *a.shape)
    if edge < 3:
        return Agreement(ranks, None, SMALL)
    edge -= 1 - edge % 2  # it has a middle
    alike: Any = structural_similarity(  # type: ignore[no-untyped-call]
        a, b, win_size=edge, data_range=1.0
    )
    return Agreement(ranks, float(alike))


def verdict(trials: Sequence[Randomised]) -> SanityCheck:
    """Whether the map hangs on the weights, from those trials in which all were fresh."""
    whole = [t.agreement.spearman for t in trials if t.layers == "all"]
    known = [abs(value) for value in whole if value is not None]
    if not known:
        reason = f"there is nothing to compare: {FLAT}" if whole else "no weights were made fresh"
        return SanityCheck(tuple(trials), None, reason)
    middle = median(known)
    depends = middle < SIMILAR
    said = f"the rank correlation of the map with those of fresh weights is {middle:.2f} (median)"
    so = (
        "the map hangs on what was learnt"
        if depends
        else "the map shows the image, not what was learnt"
    )
    return SanityCheck(tuple(trials), depends, f"{said}: it {so}")


def _stops(count: int) -> list[int]:
    """How many layers forget at each stop, never all of them."""
    spread = np.linspace(1, count, STOPS + 1).round().astype(int)[:-1]
    return sorted({int(n) for n in spread if 0 < n < count})


def _forget(layer: Any) -> None:
    if callable(getattr(layer, "reset_parameters", None)):
        layer.reset_parameters()
        return
    for parameter in layer.parameters(recurse=False):
        parameter.normal_(std=0.02)  # of tokens and positions, as vision transformers draw them
