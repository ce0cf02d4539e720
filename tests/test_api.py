"""The Python interface does what its examples say."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

import napari_medcnn as mc
from napari_medcnn import api
from napari_medcnn.app.samples import FOLDERS
from napari_medcnn.core.errors import InputMismatch, WriteError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Volume
from tests.bundle_factory import make_bundle
from tests.classification_factory import picture_classifier

EXAMPLES = [
    test
    for module in (api, api.files, api.models)
    for test in doctest.DocTestFinder(recurse=True).find(module, "napari_medcnn")
    if test.examples
]
SLOW = {"napari_medcnn.explain", "napari_medcnn.segment"}


@pytest.mark.parametrize(
    "example",
    [
        pytest.param(e, id=e.name, marks=[pytest.mark.slow] if e.name in SLOW else [])
        for e in EXAMPLES
    ],
)
def test_every_example_runs(example: doctest.DocTest) -> None:
    told: list[str] = []
    outcome = doctest.DocTestRunner(verbose=False).run(example, out=told.append)
    assert outcome.failed == 0, "".join(told)


def test_every_public_name_has_an_example_or_needs_none() -> None:
    named = {e.name.rpartition(".")[2] for e in EXAMPLES}
    assert set(mc.__all__) - named == {"sample_path"}


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, napari_medcnn; print(len({'torch', 'numpy', 'napari'} & set(sys.modules)))"
    outcome = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert outcome.stdout.strip() == "0"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        mc.nothing  # noqa: B018
    assert set(mc.__all__) <= set(dir(mc))


def scan() -> Volume:
    array = np.zeros((12, 20, 24), np.float32)
    array[4:8, 6:12, 10:16] = 100
    return Volume(array, Geometry.from_spacing(array.shape, (3.0, 1.5, 1.0)), modality="MR")


def test_from_an_image_to_measured_lesions(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(scan().array)
    image.SetSpacing((1.0, 1.5, 3.0))
    sitk.WriteImage(image, str(tmp_path / "scan.nii.gz"))
    (volume,) = mc.read(tmp_path / "scan.nii.gz")
    model = mc.load_model(make_bundle(tmp_path / "bright"))
    assert mc.plan(volume, model).windows > 0
    events = []
    segmentation = mc.segment(volume, model, on_event=events.append, device="cpu", threads=1)
    assert len(events) > 2
    table = mc.lesions(segmentation, volume)
    assert len(table.lesions) == 1
    written = [
        mc.write(segmentation, tmp_path / "labels.seg.nrrd", volume=volume),
        mc.write(table, tmp_path / "lesions.csv"),
        mc.write(table, tmp_path / "lesions.json", volume=volume, segmentation=segmentation),
        mc.write(volume, tmp_path / "copy.nii.gz"),
    ]
    assert all(path.stat().st_size > 0 for path in written)


def test_what_a_model_marks_is_explained_on_the_images_own_grid(tmp_path: Path) -> None:
    volume = scan()
    model = mc.load_model(make_bundle(tmp_path / "bright"))
    events = []
    found = mc.explain(
        volume, model, method="occlusion", on_event=events.append, device="cpu", threads=1
    )
    assert (found.array.shape, found.label) == (volume.geometry.shape, "bright")
    assert found.volume_id == volume.id
    assert len(events) > 2
    boxed = mc.explain(volume, model, region=((4, 6, 10), (8, 12, 16)), device="cpu", threads=1)
    assert (boxed.method, boxed.region) == ("gradcam", "a box")
    with pytest.raises(InputMismatch, match="does not classify pictures"):
        mc.explain(volume, model, slice_index=3, device="cpu")


def test_a_slice_is_explained_as_a_model_of_pictures_sees_it(tmp_path: Path) -> None:
    found = mc.explain(
        scan(), picture_classifier(tmp_path), axis=1, slice_index=7, device="cpu", threads=1
    )
    assert found.region == "slice 7 along y"
    assert found.label in ("bright", "dark", "middle")


def test_a_lesion_is_explained_and_its_map_written(tmp_path: Path) -> None:
    volume = scan()
    drawn = (volume.array > 50).astype(np.uint8)
    table = mc.lesions(Segmentation(drawn, volume.geometry, (Label(1, "a"),), volume.id), volume)
    patch = {"size": [1, 9, 9], "spacing_mm": None}
    model = picture_classifier(tmp_path, lambda about: about.update(patch=patch))
    found = mc.explain(volume, model, lesions=table, lesion=1, axis=2, device="cpu", threads=1)
    assert found.region == "lesion 1, slice 12 along x"
    written = mc.write(found, tmp_path / "map.nii.gz", volume=volume)
    (back,) = mc.read(written)
    np.testing.assert_allclose(back.array, found.array)
    with pytest.raises(InputMismatch, match="no lesions to explain"):
        mc.explain(volume, model, lesion=1, device="cpu")


def test_small_components_are_left_out_as_the_model_advises() -> None:
    """The command and the docks do the same without being told."""
    volume = scan()
    drawn = (volume.array > 50).astype(np.uint8)
    drawn[1, 2, 2] = 1
    advice = {"advised_min_volume_mm3": 10.0}
    by_model = Segmentation(drawn, volume.geometry, (Label(1, "a"),), volume.id, parameters=advice)
    table = mc.lesions(by_model, volume)
    assert (len(table.lesions), table.dropped_count, table.min_volume_mm3) == (1, 1, 10.0)
    assert len(mc.lesions(by_model, volume, min_volume_mm3=0).lesions) == 2
    by_hand = Segmentation(drawn, volume.geometry, (Label(1, "a"),), volume.id)
    assert len(mc.lesions(by_hand, volume).lesions) == 2


def test_writing_says_what_it_needs(tmp_path: Path) -> None:
    volume = scan()
    drawn = (volume.array > 50).astype(np.uint8)
    segmentation = Segmentation(drawn, volume.geometry, (Label(1, "a"),), volume.id)
    table = mc.lesions(segmentation, volume)
    with pytest.raises(WriteError, match="volume"):
        mc.write(segmentation, tmp_path / "labels.nii.gz")
    with pytest.raises(WriteError, match=r"\.csv or \.json"):
        mc.write(table, tmp_path / "lesions.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_samples_are_looked_for_in_the_package_first() -> None:
    assert FOLDERS[0].parent.name == "napari_medcnn"
