"""The pointing game: Grad-CAM of a 3D classifier among objects as bright as the lesion.

    python -m benchmarks.gradcam_phantoms [--minutes 4] [--phantoms 100] [--threads 1]
        [--seeds 0 1 2 3]

A phantom is 48^3 voxels of smooth tissue with noise and six bright objects of one volume. A lesion
is a ball with a bright rim and a darker core. The others, blocks, plates and rods, hold exactly the
same values in another order, so that neither the brightest voxel nor any histogram tells them
apart. With a lesion there are five of them, without one six. The network learns from the class
alone, lesion or none; it never sees a mask.

Then the pointing game, on phantoms that were never seen: does the map's peak lie in the lesion?
By `napari_medcnn.inference.explain` with the trained network, with fresh weights (another seed for
each phantom), and for the brightest voxel of the image.

Each seed is a whole repetition: other phantoms to learn from, other phantoms to judge by, and other
weights to begin with. The network and its kernels were chosen by what seed 0 showed; the other
seeds are the blind ones.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import gaussian_filter

from napari_medcnn.core.events import run_to_end
from napari_medcnn.core.explanation import Explanation
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.segmentation import Label
from napari_medcnn.core.volume import Volume
from napari_medcnn.evaluation.localisation import Localisation, localise
from napari_medcnn.inference.explain import explain
from napari_medcnn.inference.explain_check import randomised
from napari_medcnn.inference.explain_options import ExplainOptions
from napari_medcnn.models.spec import Channel, ModelSpec, Postprocessing, Step

SIZE, OBJECTS = 48, 6
SMALL_SIZE, SMALL_OBJECTS = 24, 1
TRAINING, VALIDATION = 800, 100
SMALL_SHARE = 0.5
"""Of the time that is learnt on small images."""

ROD, PLATE = 16, 4.0
"""Voxels: length of a rod, thickness of a plate."""

PHANTOMS_OF_A_SEED = 10_000_000
"""Apart from each other that far, so that no two seeds share a phantom."""

JUDGED = 1_000_000
"""Where the phantoms that a network is judged by begin, apart from those that it learns from."""

RIM, CORE = 1.0, 0.5
BATCH = 16
RATE = 4e-3


_LAYERS = ((1, 8, 4, 2), (8, 16, 4, 2), (16, 24, 3, 1), (24, 24, 3, 1))
"""Features before and after, kernel and stride of each convolution."""


class SmallNetwork(torch.nn.Sequential):
    """Four convolutions and the largest answer of each feature.

    Features have a cell for 4^3 voxels: with larger ones a peak in the middle of a cell may lie
    beside a lesion. Where it halves them its kernels are even, so that a cell lies over the middle
    of its voxels; odd ones shift it by half a voxel each time, of which upsampling knows nothing.
    The largest answer, not the mean, because a lesion fills one cell in fifty.
    """

    def __init__(self) -> None:
        layers: list[torch.nn.Module] = []
        for given, made, kernel, stride in _LAYERS:
            layers += [
                torch.nn.Conv3d(given, made, kernel, stride, padding=1, bias=False),
                torch.nn.BatchNorm3d(made),
                torch.nn.ReLU(),
            ]
        pooled = [torch.nn.AdaptiveMaxPool3d(1), torch.nn.Flatten(), torch.nn.Linear(24, 2)]
        super().__init__(*layers, *pooled)


SPEC = ModelSpec(
    id="phantoms",
    title="Lesion or none",
    version="0",
    path=Path(),
    weights=Path(),
    task="classification",
    channels=(Channel("image", "MR"),),
    labels=(Label(0, "none"), Label(1, "lesion")),
    activation="softmax",
    network={},
    preprocessing=(
        Step("Orientationd", {"keys": "image", "axcodes": "RAS"}),
        Step("NormalizeIntensityd", {"keys": "image"}),
    ),
    roi_size=(0, 0, 0),
    postprocessing=Postprocessing("argmax"),
)


@dataclass(frozen=True, eq=False)
class Phantom:
    """An image ``(z, y, x)`` and the mask of its lesion, which may be empty."""

    image: npt.NDArray[np.float32]
    mask: npt.NDArray[np.bool_]


def phantom(seed: int, with_lesion: bool, size: int = SIZE, objects: int = OBJECTS) -> Phantom:
    """The phantom of a seed, `size` voxels along each axis."""
    rng = np.random.default_rng(seed)
    tissue = gaussian_filter(rng.normal(size=(size,) * 3), 6.0)
    image = 0.15 * tissue / tissue.std()
    radius = rng.uniform(4.0, 5.5)
    ball, values = _ball(radius)
    mask = np.zeros(image.shape, dtype=bool)
    taken = np.zeros(image.shape, dtype=bool)
    for number in range(objects):
        is_lesion = with_lesion and number == 0
        shape = ball if is_lesion else _other(rng, len(values))
        held = values if is_lesion else _rearranged(rng, values)
        where = _placed(rng, shape, taken)
        image[where] += held[: len(where[0])]
        if is_lesion:
            mask[where] = True
    image += rng.normal(scale=0.05, size=image.shape)
    return Phantom(image.astype(np.float32), mask)


def _ball(radius: float) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """The voxels of a ball around 0 and their values: a rim of 1.5 voxels around a core."""
    reach = int(np.ceil(radius))
    around = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3, indexing="ij"), -1)
    around = around.reshape(-1, 3)
    distance = np.linalg.norm(around, axis=1)
    held = distance <= radius
    values = np.where(distance[held] > radius - 1.5, RIM, CORE)
    return around[held], values


def _other(rng: np.random.Generator, count: int) -> npt.NDArray[np.intp]:
    """The voxels of a block, a plate or a rod of so many voxels, turned at random."""
    cube, side, rod = count ** (1 / 3), (count / PLATE) ** 0.5, (count / ROD) ** 0.5
    kinds = ((cube, cube, cube), (PLATE, side, side), (rod, rod, ROD))
    edges = np.array(kinds[rng.integers(len(kinds))])
    sizes = np.ceil(rng.permutation(edges)).astype(int)
    box = np.stack(np.meshgrid(*[np.arange(n) for n in sizes], indexing="ij"), -1).reshape(-1, 3)
    voxels: npt.NDArray[np.intp] = box[:count] - sizes // 2
    return voxels


def _rearranged(
    rng: np.random.Generator, values: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The same values: bright on one side, in layers, or mixed."""
    way = rng.integers(3)
    if way == 0:
        return np.sort(values)
    if way == 1:
        return np.roll(np.sort(values), int(rng.integers(len(values))))
    return rng.permutation(values)


def _placed(
    rng: np.random.Generator, shape: npt.NDArray[np.intp], taken: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.intp], ...]:
    """Where a shape lies: at random, within the image, and apart from the others."""
    low, high = 2 - shape.min(0), len(taken) - 2 - shape.max(0)
    for _ in range(200):
        where = tuple((shape + rng.integers(low, high)).T)
        if not taken[where].any():
            break
    near = np.zeros_like(taken)
    near[where] = True
    for axis in range(3):  # two voxels of tissue between objects
        near |= np.roll(near, 2, axis) | np.roll(near, -2, axis)
    taken |= near
    return where


def seen(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """An image as the network sees it: ``(x, y, z)`` in RAS, normalised."""
    turned = image.transpose(2, 1, 0)[::-1, ::-1]
    return np.ascontiguousarray((turned - turned.mean()) / turned.std())


def train(minutes: float, seed: int = 0) -> tuple[torch.nn.Module, float]:
    """Teach the network for so long at most, and its accuracy on phantoms kept aside.

    Time is that of the processor, so that other programs take nothing away.

    First on small images of one object, an eighth as large, then on whole phantoms; there is no
    more than the class of an image in both.
    """
    torch.manual_seed(seed)
    network = SmallNetwork()
    rng = np.random.default_rng(seed)
    accuracy = 0.0
    for size, objects, share in (
        (SMALL_SIZE, SMALL_OBJECTS, SMALL_SHARE),
        (SIZE, OBJECTS, 1 - SMALL_SHARE),
    ):
        first = seed * PHANTOMS_OF_A_SEED
        images = np.stack(
            [
                seen(phantom(first + n, n % 2 == 1, size, objects).image)
                for n in range(TRAINING + VALIDATION)
            ]
        )
        accuracy = _learnt(network, torch.from_numpy(images)[:, None], 60 * minutes * share, rng)
    return network.eval(), accuracy


def _learnt(
    network: torch.nn.Module, images: torch.Tensor, seconds: float, rng: np.random.Generator
) -> float:
    """Accuracy after so many seconds of the processor, or once the network makes no errors.

    Every second image ``(phantom, 1, x, y, z)`` has a lesion.
    """
    truth = torch.arange(len(images)) % 2
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-4)
    begin, epoch, accuracy = time.process_time(), 0, 0.0
    while time.process_time() - begin < seconds and accuracy < 1:
        network.train()
        losses = []
        for some in rng.permutation(TRAINING).reshape(-1, BATCH):
            axes = [int(a) for a in np.flatnonzero(rng.random(3) < 0.5) + 2]
            turned = images[some].flip(axes).permute(0, 1, *(rng.permutation(3) + 2).tolist())
            loss = torch.nn.functional.cross_entropy(network(turned), truth[some])
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            losses.append(loss.item())
        accuracy = _accuracy(network, images[TRAINING:], truth[TRAINING:])
        epoch += 1
        print(
            f"{images.shape[-1]}^3, epoch {epoch}: loss {np.mean(losses):.3f}, validation accuracy "
            f"{accuracy:.3f}, {time.process_time() - begin:.0f} s",
            flush=True,
        )
    return accuracy


def _accuracy(network: torch.nn.Module, images: torch.Tensor, truth: torch.Tensor) -> float:
    network.eval()
    with torch.inference_mode():
        said = torch.cat([network(some).argmax(1) for some in torch.split(images, BATCH)])
    return float((said == truth).float().mean())


def pointed(network: torch.nn.Module, one: Phantom, method: Any) -> Localisation:
    """Whether the map of the class ``lesion`` peaks in the lesion."""
    geometry = Geometry.from_spacing(one.image.shape, (1.0, 1.0, 1.0))
    volume = Volume(one.image, geometry, modality="MR")
    job = explain(
        volume,
        SPEC,
        method=method,
        target="lesion",
        options=ExplainOptions(device="cpu"),
        network=network,
    )
    return localise(run_to_end(job, Explanation).array, one.mask, geometry)


def main() -> None:
    """Train, play the pointing game, and print what came."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=4.0, help="of training at most")
    parser.add_argument("--phantoms", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--methods", nargs="+", default=["gradcam", "gradcam++"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="one training each")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for seed in arguments.seeds:
        print(f"\nseed {seed}", flush=True)
        _play(seed, arguments)


def _play(seed: int, arguments: argparse.Namespace) -> None:
    """One training and its pointing game."""
    begin = time.process_time()
    network, accuracy = train(arguments.minutes, seed)
    taught = time.process_time() - begin
    first = seed * PHANTOMS_OF_A_SEED + JUDGED
    fresh_phantoms = [phantom(first + n, True) for n in range(arguments.phantoms)]
    print(
        f"validation accuracy {accuracy:.3f} after {taught:.0f} s of the processor; "
        f"{len(fresh_phantoms)} phantoms with a lesion"
    )
    for method in arguments.methods:
        trained = [pointed(network, one, method) for one in fresh_phantoms]
        untrained = [
            pointed(randomised(network, 1000 * seed + n), one, method)
            for n, one in enumerate(fresh_phantoms)
        ]
        for name, figures in (("trained", trained), ("fresh weights", untrained)):
            _print(f"{method}, {name}", figures)
    geometry = Geometry.from_spacing((SIZE,) * 3, (1.0, 1.0, 1.0))
    _print("brightest voxel", [localise(one.image, one.mask, geometry) for one in fresh_phantoms])


def _print(name: str, figures: list[Localisation]) -> None:
    hits = sum(bool(f.hit) for f in figures)
    flat = sum(f.hit is None for f in figures)
    energy = np.mean([f.energy or 0.0 for f in figures])
    iou = np.mean([f.iou or 0.0 for f in figures])
    share = np.mean([f.mask_share for f in figures])
    print(
        f"{name:28s} hits {hits} of {len(figures)} (no peak: {flat}), energy inside {energy:.3f} "
        f"(by chance {share:.3f}), IoU {iou:.3f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
