"""A whole run of the engine on small nnU-Nets, against nnU-Net's steps written out plainly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_medcnn.core.events import Done, Message
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Source, Volume, canonical_volume
from napari_medcnn.inference.options import Mirroring, RunOptions
from napari_medcnn.inference.segment import segment
from napari_medcnn.models.networks import load_network
from napari_medcnn.models.nnunet import read_nnunet
from napari_medcnn.models.spec import ModelSpec
from tests.inference.nnunet_by_the_book import logits_on_image
from tests.nnunet_factory import make_nnunet

pytest.importorskip("dynamic_network_architectures", reason="the extra nnunet is not installed")

SPACING = (1.6, 1.2, 0.9)


def _volumes(channels: int, spacing: tuple[float, float, float] = SPACING) -> list[Volume]:
    """Smooth random images with an empty border, on an oblique grid that no axis follows."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(3)
    made = []
    for _ in range(channels):
        array = gaussian_filter(rng.normal(size=(20, 26, 30)), (1.5, 2.5, 2.5)) * 900 + 100
        array[array == 0] = 1
        array[:3], array[:, -4:], array[:, :, :2] = 0, 0, 0
        angle = np.deg2rad(12)
        direction = np.array(
            [[0, -np.sin(angle), np.cos(angle)], [0, -np.cos(angle), -np.sin(angle)], [1, 0, 0]]
        )  # columns: z, y, x; y runs to anterior, as in most NIfTI files
        affine = np.eye(4)
        affine[:3, :3] = direction * spacing
        affine[:3, 3] = (-40, 33, 12)
        grid = Geometry(array.shape, affine)
        volume = canonical_volume(array.astype(np.float32), grid, source=Source(), modality="")
        made.append(volume)
    return made


def _run(volumes: list[Volume], spec: ModelSpec, mirror: Mirroring) -> Segmentation:
    options = RunOptions(device="cpu", backend="torch", threads=1, mirror=mirror)
    *events, done = segment(volumes, spec, options=options)
    assert isinstance(done, Done)
    assert not [e for e in events if isinstance(e, Message) and e.level == "warning"]
    assert isinstance(done.result, Segmentation)
    return done.result


def _expected(
    volumes: list[Volume], spec: ModelSpec, mirrored: bool
) -> tuple[np.ndarray, np.ndarray]:
    plans = json.loads((spec.path / "plans.json").read_text())
    networks = [load_network(spec, member=n) for n in range(len(spec.members))]
    arrays = [v.on_source_grid(v.array)[0] for v in volumes]
    axes = [2 - axis for axis in spec.mirror_axes] if mirrored else []
    assert volumes[0].source.geometry is not None
    spacing = volumes[0].source.geometry.spacing
    return logits_on_image(networks, plans, np.stack(arrays), spacing, axes)


def _dice(first: np.ndarray, second: np.ndarray, value: int) -> float:
    a, b = first == value, second == value
    assert b.sum() > 100, "the random network shows too little of this label to compare"
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


CASES: dict[str, dict[str, Any]] = {
    "isotropic": {"configuration": {"spacing": [1.3, 1.1, 1.0]}},
    "thick slices": {"configuration": {"spacing": [4.0, 1.0, 1.0]}},
    "transposed": {"transpose_forward": (2, 0, 1), "configuration": {"spacing": [1.0, 1.5, 1.0]}},
    "finer than the image": {"configuration": {"spacing": [0.8, 0.8, 0.8]}},
    "two folds, two mirrored axes": {"folds": ("0", "1"), "mirror_axes": (0, 2)},
    "two channels": {
        "channels": ("T1", "CT"),
        "configuration": {
            "normalization_schemes": ["ZScoreNormalization", "CTNormalization"],
            "use_mask_for_norm": [True, False],
        },
    },
}


@pytest.mark.parametrize("name", CASES)
def test_labels_are_those_of_nnunets_own_steps(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    spec = read_nnunet(make_nnunet(tmp_path / "m", **case))
    volumes = _volumes(len(spec.channels))
    mirrored = "mirror" in name
    result = _run(volumes, spec, "model" if mirrored else "none")
    found, _ = volumes[0].on_source_grid(result.array)
    logits, known = _expected(volumes, spec, mirrored)
    expected = np.where(known, logits.argmax(axis=0), 0)
    for value in sorted(set(np.unique(expected)) - {0}):
        if (expected == value).sum() > 100:
            assert _dice(found, expected, value) >= 0.999
    assert (found == expected).mean() >= 0.9995
    assert (expected > 0).mean() > 0.02
    shifted = np.roll(expected, 1, axis=2)
    assert (found == shifted).mean() < 0.995, "a shift by one voxel would not be noticed"


def test_regions_are_thresholded_and_painted_over_each_other(tmp_path: Path) -> None:
    folder = make_nnunet(
        tmp_path / "m",
        labels={"background": 0, "whole": [1, 2], "core": 2},
        regions_class_order=(1, 2),
    )
    spec = read_nnunet(folder)
    volumes = _volumes(1)
    result = _run(volumes, spec, "none")
    found, _ = volumes[0].on_source_grid(result.array)
    logits, known = _expected(volumes, spec, mirrored=False)
    expected = np.where(logits[1] > 0, 2, np.where(logits[0] > 0, 1, 0)) * known
    assert (found == expected).mean() >= 0.9995
    assert set(np.unique(expected)) == {0, 1, 2}
    # Outside of the crop the logits are unknown, and the sigmoid of zero must not count.
    assert not found[~known].any()


def test_the_largest_component_is_kept_where_nnunet_found_that_to_help(tmp_path: Path) -> None:
    from scipy.ndimage import label

    spec = read_nnunet(make_nnunet(tmp_path / "m"))
    volumes = _volumes(1)
    before = _run(volumes, spec, "none").array
    parts = {value: label(before == value, np.ones((3, 3, 3))) for value in (1, 2)}
    value = max(parts, key=lambda v: parts[v][1])
    numbers, count = parts[value]
    assert count > 1
    where = spec.path / "crossval_results_folds_0"
    where.mkdir()
    content = {
        "postprocessing_fns": ["remove_all_but_largest_component_from_segmentation"],
        "postprocessing_kwargs": [{"labels_or_regions": value}],
    }
    (where / "postprocessing.json").write_text(json.dumps(content))
    after = _run(volumes, read_nnunet(spec.path), "none").array
    largest = np.bincount(numbers.ravel())[1:].argmax() + 1
    gone = (before == value) & (numbers != largest)
    assert np.array_equal(after, np.where(gone, 0, before))


def test_the_plan_knows_the_grid_and_the_windows(tmp_path: Path) -> None:
    from napari_medcnn.inference.image_facts import facts_of
    from napari_medcnn.inference.plan import resolve

    spec = read_nnunet(make_nnunet(tmp_path / "m", transpose_forward=(2, 0, 1)))
    volume = _volumes(1)[0]
    plan = resolve(spec, facts_of([volume]), RunOptions(device="cpu"))
    # The file's x comes first in the network: 30 voxels of 0.9 mm to 2 mm; the plan is in reverse.
    assert plan.network_shape == (round(26 * 1.2), round(20 * 1.6), round(30 * 0.9 / 2))
    assert plan.network_spacing_mm == (1.0, 1.0, 2.0)
    assert plan.roi_size == (16, 16, 12)
    assert plan.windows == 3 * 3 * 2


def test_the_result_says_which_folds_made_it(tmp_path: Path) -> None:
    folder = make_nnunet(tmp_path / "m", folds=("0", "1"))
    both = read_nnunet(folder)
    one = replace(both, members=both.members[:1])
    volumes = _volumes(1)
    results = [_run(volumes, spec, "none") for spec in (both, one)]
    hashes = {r.model.weights_sha256 for r in results if r.model is not None}
    assert len(hashes) == 2
