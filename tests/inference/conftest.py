"""Images on any grid, and what a bundle gives when MONAI itself runs it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from napari_medcnn.core.events import run_to_end
from napari_medcnn.core.geometry import AxisMap, Geometry
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Source, Volume, canonical_volume
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.inference.segment import segment
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.spec import ModelSpec
from tests.bundle_factory import make_bundle

SHAPE = (13, 19, 22)
"""Of the phantom."""


@pytest.fixture(autouse=True)
def _two_threads() -> None:
    torch.set_num_threads(2)


def smooth_image(shape: tuple[int, int, int], seed: int = 0) -> npt.NDArray[np.float32]:
    """Blobs of a few voxels with values in 0..1, so that interpolation and windows matter."""
    from scipy import ndimage

    noise = np.random.default_rng(seed).normal(size=shape)
    blobs = ndimage.gaussian_filter(noise, 2.0)
    blobs -= blobs.min()
    return (blobs / blobs.max()).astype(np.float32)


def from_file(
    array: npt.NDArray[np.float32], geometry: Geometry, axes: AxisMap = AxisMap(), **fields: Any
) -> Volume:
    """The volume of a file that stores `array` of the grid `geometry` in another axis order."""
    stored = np.ascontiguousarray(axes.apply(array))
    return canonical_volume(
        stored, geometry.reordered(axes), source=Source(), **{"modality": "MR", **fields}
    )


def write_nifti(volume: Volume, path: Path) -> Path:
    """The volume as a NIfTI file in the axis order of its source."""
    import nibabel as nib

    array, geometry = volume.on_source_grid(volume.array)
    nib.save(nib.Nifti1Image(array.transpose(2, 1, 0), geometry.to_ras_affine()), path)
    return path


def monai_labels(spec: ModelSpec, images: list[Path]) -> npt.NDArray[Any]:
    """The label map ``(z, y, x)`` in the file's axis order, by MONAI's own steps."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MONAI's readers and defaults, not ours to mend
        return _monai_labels(spec, images)


def _monai_labels(spec: ModelSpec, images: list[Path]) -> npt.NDArray[Any]:
    from monai.bundle import ConfigParser
    from monai.transforms import Compose

    parser = ConfigParser()
    parser.read_config(str(spec.path / "configs" / "inference.json"))
    parser["bundle_root"] = str(spec.path)
    parser["device"] = "$torch.device('cpu')"
    network = parser.get_parsed_content("network_def")
    before = parser.get_parsed_content("preprocessing")
    inferer = parser.get_parsed_content("inferer")
    after = parser.get_parsed_content("postprocessing")
    network.load_state_dict(torch.load(spec.weights, weights_only=True))
    network.eval()
    paths = [str(path) for path in images]
    data = before({"image": paths if len(paths) > 1 else paths[0]})
    with torch.inference_mode():
        data["pred"] = inferer(inputs=data["image"][None], network=network)[0]
    kept = [t for t in after.transforms if type(t).__name__ != "SaveImaged"]
    labels = Compose(kept)(data)["pred"]
    assert labels.shape[0] == 1
    return np.asarray(labels[0]).transpose(2, 1, 0)


def in_file_order(segmentation: Segmentation, volume: Volume) -> npt.NDArray[Any]:
    return volume.on_source_grid(segmentation.array)[0]


@pytest.fixture
def spec(tmp_path: Path) -> ModelSpec:
    return read_bundle(make_bundle(tmp_path / "bright", roi=(12, 12, 12)))


@pytest.fixture
def phantom() -> Volume:
    """A bright box off centre, different in every direction, on 1 mm voxels."""
    array = np.zeros(SHAPE, np.float32)
    array[2:6, 3:10, 12:20] = 1
    array[8, 4, 5] = 1
    geometry = Geometry.from_spacing(SHAPE, (1.0, 1.0, 1.0), (-40.0, 15.0, 60.0))
    return Volume(array, geometry, modality="MR")


def run(volume: Volume | list[Volume], spec: ModelSpec, **options: object) -> Segmentation:
    wanted = RunOptions(**{"backend": "torch"} | options)  # type: ignore[arg-type]
    return run_to_end(segment(volume, spec, options=wanted), Segmentation)
