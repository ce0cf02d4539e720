"""The transforms that bundles name: grids, history, determinism, and real scans."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import (
    Compose,
    EnsureChannelFirstd,
    Invertd,
    LoadImaged,
    Orientationd,
    Spacingd,
)

from napari_medcnn.core.errors import Cancelled, InputMismatch
from napari_medcnn.core.events import JobControl
from napari_medcnn.inference.transforms import (
    BrainMaskd,
    N4BiasCorrectiond,
    NormalizeByBrainMediand,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:monai"),
    pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader:UserWarning"),
]
ALL = (BrainMaskd, N4BiasCorrectiond, NormalizeByBrainMediand)


def _chain() -> Compose:
    return Compose(
        [BrainMaskd("image"), N4BiasCorrectiond("image"), NormalizeByBrainMediand("image")]
    )


@pytest.fixture
def stripped_case() -> dict[str, Any]:
    """A stripped 'brain' ellipsoid of about 1000 mL on an oblique grid that no axis agrees with."""
    shape = (44, 52, 40)
    axes = [np.linspace(-1.3, 1.3, n) for n in shape]
    radius = np.sqrt(sum(a**2 for a in np.meshgrid(*axes, indexing="ij")))
    rng = np.random.default_rng(1)
    values = np.where(radius < 1, 200 + 20 * rng.standard_normal(shape), 0).astype(np.float32)
    angle = 0.3
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-4.0, 4.0, 4.0])
    affine[:3, 3] = (80, -100, -60)
    image = MetaTensor(torch.from_numpy(values)[None], affine=torch.from_numpy(affine))
    return {"image": image}


def test_a_stripped_scan_keeps_its_voxels_and_says_how_its_mask_came(
    stripped_case: dict[str, Any],
) -> None:
    result = BrainMaskd("image")(stripped_case)
    assert torch.equal(result["image"].as_tensor(), stripped_case["image"].as_tensor())
    assert torch.equal(result["brain_mask"][0] > 0, stripped_case["image"][0] > 0)
    assert result["image"].meta["brain_mask"]["method"] == "already skull-stripped"
    assert torch.equal(result["brain_mask"].affine, stripped_case["image"].affine)


def test_apply_false_leaves_the_image_alone(stripped_case: dict[str, Any]) -> None:
    stripped_case["image"][0, 0, 0, 0] = 0.0
    before = stripped_case["image"].clone()
    result = BrainMaskd("image", mask_key="mask", apply=False)(stripped_case)
    assert torch.equal(result["image"].as_tensor(), before.as_tensor())
    assert set(result) == {"image", "mask"}


def test_the_chain_leaves_the_brain_at_a_median_of_one(stripped_case: dict[str, Any]) -> None:
    chain = _chain()
    result = chain(stripped_case)
    inside = result["image"][0][result["brain_mask"][0] > 0]
    assert float(inside.median()) == pytest.approx(1.0, abs=1e-3)
    assert result["image"].shape == stripped_case["image"].shape
    assert len(result["image"].applied_operations) == len(stripped_case["image"].applied_operations)


def test_the_same_case_twice_gives_the_same_voxels(stripped_case: dict[str, Any]) -> None:
    chain = _chain()
    first, second = chain(dict(stripped_case)), chain(dict(stripped_case))
    assert torch.equal(first["image"].as_tensor(), second["image"].as_tensor())


def test_image_and_mask_resample_alike_and_a_prediction_inverts_to_the_first_grid(
    stripped_case: dict[str, Any],
) -> None:
    before = Compose(
        [
            Orientationd("image", axcodes="RAS", labels=None),
            BrainMaskd("image"),
            Spacingd(["image", "brain_mask"], pixdim=(3.0, 3.0, 3.0), mode=("bilinear", "nearest")),
            N4BiasCorrectiond("image"),
            NormalizeByBrainMediand("image"),
        ]
    )
    case = before(stripped_case)
    assert case["image"].shape == case["brain_mask"].shape
    torch.testing.assert_close(case["image"].affine, case["brain_mask"].affine)
    case["pred"] = MetaTensor((case["image"] > 0.5).float(), meta=case["image"].meta)
    after = Invertd(
        "pred", transform=before, orig_keys="image", nearest_interp=True, to_tensor=True
    )
    prediction = after(case)["pred"]
    source = stripped_case["image"]
    assert prediction.shape == source.shape
    torch.testing.assert_close(prediction.affine, source.affine)
    agree = (prediction[0] > 0.5) == (source[0] > 0)
    assert float(agree.float().mean()) > 0.97


@pytest.mark.parametrize("transform", ALL)
def test_transforms_survive_pickling(transform: type) -> None:
    again = pickle.loads(pickle.dumps(transform("image", mask_key="m")))
    assert again.mask_key == "m"
    assert again.keys == ("image",)


@pytest.mark.parametrize("transform", [BrainMaskd, N4BiasCorrectiond])
def test_the_slow_ones_can_be_cancelled(transform: type, stripped_case: dict[str, Any]) -> None:
    case = BrainMaskd("image")(stripped_case)
    slow = transform("image")
    slow.control = JobControl()
    slow.control.cancel()
    with pytest.raises(Cancelled):
        slow(case)


@pytest.mark.parametrize("transform", ALL)
def test_a_bundle_can_name_them(transform: type) -> None:
    target = f"{transform.__module__}.{transform.__qualname__}"
    parser = ConfigParser({"step": {"_target_": target, "keys": "image"}})
    assert isinstance(parser.get_parsed_content("step"), transform)


@pytest.mark.parametrize("transform", [N4BiasCorrectiond, NormalizeByBrainMediand])
def test_without_a_mask_the_error_says_what_must_come_first(
    transform: type, stripped_case: dict[str, Any]
) -> None:
    with pytest.raises(InputMismatch, match="BrainMaskd must come first"):
        transform("image")(stripped_case)


def test_an_array_without_affine_is_refused() -> None:
    with pytest.raises(InputMismatch, match="affine"):
        BrainMaskd("image")({"image": torch.zeros(1, 4, 4, 4)})


@pytest.mark.slow
def test_a_raw_scan_loses_its_skull(shared_data: Path) -> None:
    torch.set_num_threads(1)
    path = shared_data / "ms_longitudinal" / "patient01" / "study1_FLAIR.nii.gz"
    chain = Compose(
        [
            LoadImaged("image"),
            EnsureChannelFirstd("image"),
            BrainMaskd("image"),
            N4BiasCorrectiond("image"),
            NormalizeByBrainMediand("image"),
        ]
    )
    case = chain({"image": str(path)})
    outside = case["brain_mask"][0] == 0
    assert case["image"].meta["brain_mask"]["method"] == "network"
    assert float(case["image"][0][outside].abs().max()) == 0.0
