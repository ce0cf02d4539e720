"""The brain mask of a head scan: what is refused, what is reported, and that MONAI agrees."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from napari_medcnn.core.errors import Cancelled, InputMismatch
from napari_medcnn.core.events import JobControl
from napari_medcnn.core.geometry import AxisMap, Geometry
from napari_medcnn.inference.brain import BrainMask, _load_model, brain_bundle, brain_mask
from napari_medcnn.models.bundle import read_bundle

pytestmark = pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader:UserWarning")


def _ellipsoid(scale: float = 1.0) -> tuple[np.ndarray, Geometry]:
    axes = [np.linspace(-1.2 / scale, 1.2 / scale, n) for n in (40, 50, 40)]
    radius = np.sqrt(sum(a**2 for a in np.meshgrid(*axes, indexing="ij")))
    array = np.where(radius < 1, 100.0, 0.0).astype(np.float32)
    return array, Geometry.from_spacing((40, 50, 40), (4.0, 4.0, 4.0))


def _read(path: Path) -> tuple[np.ndarray, Geometry]:
    image = sitk.ReadImage(str(path))
    geometry = Geometry.from_sitk(
        image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection()
    )
    return sitk.GetArrayFromImage(image), geometry


def _dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * float((one & other).sum()) / float(one.sum() + other.sum())


def test_importing_the_module_brings_neither_torch_nor_monai() -> None:
    code = (
        "import sys, napari_medcnn.inference.brain;assert not {'torch', 'monai'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_stripped_scan_is_reported_as_such() -> None:
    array, geometry = _ellipsoid()
    found = brain_mask(array, geometry)
    assert found.method == "already skull-stripped"
    assert "no skull" in found.note
    assert found.volume_ml == pytest.approx(float((array > 0).sum()) * 0.064)
    assert found.warnings == ()


def test_a_volume_that_is_no_brains_is_warned_about() -> None:
    array, geometry = _ellipsoid(0.7)
    found = brain_mask(array, geometry)
    assert found.volume_ml < 700
    assert any("whole brains have" in warning for warning in found.warnings)


def test_a_cut_field_of_view_is_named_by_its_side() -> None:
    array, geometry = _ellipsoid()
    half = array[:20]
    found = brain_mask(half, Geometry(half.shape, geometry.affine))
    assert found.warnings == ("the field of view cuts the brain at its superior side",)


def test_an_array_off_its_grid_is_refused() -> None:
    array, geometry = _ellipsoid()
    with pytest.raises(InputMismatch, match="not on the grid"):
        brain_mask(array[1:], geometry)


def test_an_image_of_one_value_is_refused() -> None:
    _, geometry = _ellipsoid()
    with pytest.raises(InputMismatch, match="same value everywhere"):
        brain_mask(np.full(geometry.shape, 7), geometry)


def test_a_cancelled_job_ends() -> None:
    array, geometry = _ellipsoid()
    control = JobControl()
    control.cancel()
    with pytest.raises(Cancelled):
        brain_mask(array, geometry, control=control)


def test_the_shipped_bundle_reads_is_small_and_unlisted() -> None:
    spec = read_bundle(brain_bundle())
    assert spec.id == "brain_extraction"
    assert spec.spacing_mm == (2.5, 2.5, 2.5)
    assert not spec.listed
    assert spec.weights.stat().st_size < 2e6


def test_the_bundle_s_parts_are_built_without_a_warning_of_monai() -> None:
    """It would be shown in the middle of the command's own output."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        _load_model.__wrapped__()


@pytest.fixture(scope="module")
def flair(shared_data: Path) -> tuple[np.ndarray, Geometry, Path]:
    path = shared_data / "ms_longitudinal" / "patient01" / "study1_FLAIR.nii.gz"
    return (*_read(path), path)


@pytest.fixture(scope="module")
def found(flair: tuple[np.ndarray, Geometry, Path]) -> BrainMask:
    torch.set_num_threads(1)
    return brain_mask(flair[0], flair[1])


@pytest.mark.slow
def test_a_raw_flair_scan_gives_the_brain_the_data_states(
    flair: tuple[np.ndarray, Geometry, Path], found: BrainMask
) -> None:
    folder = flair[2].parent
    common = sitk.ReadImage(str(folder / "brainmask.nii.gz"), sitk.sitkFloat32)
    to_raw = sitk.ReadTransform(str(folder / "study1_FLAIR_to_common_space.txt"))
    raw = sitk.ReadImage(str(flair[2]))
    brought = sitk.Resample(common, raw, to_raw.GetInverse(), sitk.sitkLinear, 0.0)
    assert found.method == "network"
    assert _dice(found.mask, sitk.GetArrayFromImage(brought) > 0.5) > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("order", [(2, 1, 0), (1, 2, 0)])
def test_the_mask_does_not_depend_on_the_order_of_the_axes(
    flair: tuple[np.ndarray, Geometry, Path],
    found: BrainMask,
    order: tuple[int, int, int],
) -> None:
    axes = AxisMap(order, (True, False, True))
    again = brain_mask(axes.apply(flair[0]), flair[1].reordered(axes))
    assert _dice(axes.inverse().apply(again.mask), found.mask) > 0.99


@pytest.mark.slow
def test_monai_runs_the_bundle_to_the_same_mask(
    flair: tuple[np.ndarray, Geometry, Path], found: BrainMask
) -> None:
    from monai.bundle import ConfigParser
    from monai.data import MetaTensor

    parser = ConfigParser()
    parser.read_config(str(brain_bundle() / "configs" / "inference.json"))
    parser["bundle_root"] = str(brain_bundle())
    after = parser["postprocessing"]["transforms"]
    parser["postprocessing"]["transforms"] = [s for s in after if s["_target_"] != "SaveImaged"]
    network = parser.get_parsed_content("network_def").eval()
    weights = torch.load(brain_bundle() / "models" / "model.pt", weights_only=True)
    network.load_state_dict(weights)
    case = parser.get_parsed_content("preprocessing")({"image": str(flair[2])})
    with torch.inference_mode():
        logits = parser.get_parsed_content("inferer")(case["image"][None], network)[0]
    case["pred"] = MetaTensor(logits, meta=case["image"].meta)
    theirs = np.asarray(parser.get_parsed_content("postprocessing")(case)["pred"][0])
    assert _dice(theirs.transpose(2, 1, 0) > 0.5, found.mask) > 0.9999
