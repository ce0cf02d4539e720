"""Data sets in the forms that people have become the same manifest; what is none says why."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image

from napari_medcnn.core.errors import Cancelled, MedcnnError, ReadError
from napari_medcnn.core.events import JobControl
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.io.write import write_segmentation
from napari_medcnn.training.manifest import Manifest, read_manifest, write_manifest
from napari_medcnn.training.sources import (
    LabelClasses,
    folder_pairs,
    manifest_from,
    with_patients,
)
from tests.io.dicom_objects.dicom_cases import series
from tests.training.made_data_sets import GRID, noise, write_image, write_label


def ids(manifest: Manifest) -> list[str]:
    return [case.id for case in manifest.cases]


def empty(*paths: Path) -> None:
    """Files that are known by their names; nothing reads them when a data set is made."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_the_hippocampus_is_a_folder_pair_with_one_image_that_has_no_label(
    shared_data: Path,
) -> None:
    manifest = manifest_from(shared_data / "hippocampus")
    assert (manifest.task, manifest.classes, manifest.values) == (
        "segmentation", ("label 1", "label 2"), (),
    )  # fmt: skip
    assert len(manifest.cases) == 201
    assert [case.id for case in manifest.cases if case.label is None] == ["hippocampus_118"]


def test_brain_slices_are_class_folders_with_parts(shared_data: Path) -> None:
    manifest = manifest_from(shared_data / "brain_tumor_slices")
    assert manifest.task == "classification"
    assert manifest.classes == ("glioma", "meningioma", "no", "pituitary")
    assert Counter(case.part for case in manifest.cases) == {"train": 2147, "test": 429}
    assert manifest.cases[0].id == "test__glioma__" + manifest.cases[0].images[0].stem


def test_folders_of_patients_are_not_taken_for_classes(shared_data: Path) -> None:
    with pytest.raises(ReadError, match="cases and no classes"):
        manifest_from(shared_data / "ms_flair")


def test_endings_are_channels_where_the_labels_say_so(tmp_path: Path) -> None:
    images, labels = tmp_path / "imagesTr", tmp_path / "labelsTr"
    for case in ("a_0001", "b_0002"):
        for channel in range(2):
            write_image(images / f"{case}_{channel:04d}.nii.gz", channel)
        write_label(labels / f"{case}.nii.gz", 1)
    manifest = manifest_from(tmp_path)
    assert ids(manifest) == ["a_0001", "b_0002"]
    assert manifest.channels == ("channel 0", "channel 1")
    assert [p.name for p in manifest.cases[0].images] == [
        "a_0001_0000.nii.gz", "a_0001_0001.nii.gz",
    ]  # fmt: skip
    (images / "b_0002_0001.nii.gz").unlink()
    with pytest.raises(ReadError, match="b_0002: has the channels 0000"):
        manifest_from(tmp_path)


def test_endings_are_numbers_of_cases_where_the_labels_have_them_too(tmp_path: Path) -> None:
    for number in range(3):
        write_image(tmp_path / "images" / f"scan_{number:04d}.nii.gz", number)
        write_label(tmp_path / "labels" / f"scan_{number:04d}_seg.nii.gz", 2, 7)
    manifest = manifest_from(tmp_path)
    assert ids(manifest) == ["scan_0000", "scan_0001", "scan_0002"]
    assert manifest.values == (2, 7)
    assert manifest.channels == ("image",)


def test_a_label_without_an_image_is_not_passed_over(tmp_path: Path) -> None:
    write_image(tmp_path / "images" / "a.nii.gz")
    write_label(tmp_path / "labels" / "a.nii.gz", 1)
    write_label(tmp_path / "labels" / "b.nii.gz", 1)
    with pytest.raises(ReadError, match="1 of 2 label maps have no image: b"):
        manifest_from(tmp_path)


def test_series_of_dicom_files_are_images_too(tmp_path: Path) -> None:
    for case in ("p1", "p2"):
        series(tmp_path / "images" / case, GRID)
        write_label(tmp_path / "labels" / f"{case}.nii.gz", 1)
    manifest = manifest_from(tmp_path)
    assert [case.images[0].name for case in manifest.cases] == ["p1", "p2"]
    assert all(path.is_dir() for case in manifest.cases for path in case.images)


def test_parts_may_hold_pairs_of_pictures(tmp_path: Path) -> None:
    for part in ("train", "val"):
        for number in range(2):
            mask = np.zeros((8, 9), np.uint8)
            mask[2:4] = 1
            for folder, pixels in (("images", mask * 90 + number), ("masks", mask)):
                path = tmp_path / part / folder / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
    manifest = manifest_from(tmp_path)
    assert ids(manifest) == ["train__0", "train__1", "validation__0", "validation__1"]
    assert Counter(case.part for case in manifest.cases) == {"train": 2, "validation": 2}
    assert manifest.classes == ("label 1",)


def test_segments_keep_their_names_and_may_not_contradict_each_other(tmp_path: Path) -> None:
    image = noise(0)
    array = np.zeros(GRID.shape, np.uint8)
    array[1], array[2] = 1, 2

    def named(case: str, *names: str) -> None:
        labels = tuple(Label(value, name) for value, name in enumerate(names, start=1))
        (tmp_path / "labels").mkdir(exist_ok=True)
        write_segmentation(
            Segmentation(array, GRID, labels, image.id),
            image,
            tmp_path / "labels" / f"{case}.seg.nrrd",
        )
        write_image(tmp_path / "images" / f"{case}.nii.gz")

    named("a", "tumour", "oedema")
    assert manifest_from(tmp_path).classes == ("tumour", "oedema")
    named("b", "oedema", "tumour")
    with pytest.raises(ReadError, match=r"calls value 1 'oedema'; a\.seg\.nrrd calls it 'tumour'"):
        manifest_from(tmp_path)
    chosen = LabelClasses.of({0: "background", 1: "one", 2: "two"})
    manifest = folder_pairs(tmp_path / "images", tmp_path / "labels", classes=chosen)
    assert manifest.classes == ("one", "two")


def dataset_json(folder: Path, **content: Any) -> Path:
    path = folder / "dataset.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    "labels",
    [
        {"0": "background", "1": "Anterior", "2": "Posterior"},
        {"background": 0, "Anterior": 1, "Posterior": 2},
    ],
)
@pytest.mark.parametrize("channels", [{"modality": {"0": "MRI"}}, {"channel_names": {"0": "MRI"}}])
def test_a_decathlon_file_in_either_spelling(
    tmp_path: Path, labels: dict[str, Any], channels: dict[str, Any]
) -> None:
    dataset_json(
        tmp_path,
        name="Hippocampus",
        licence="CC-BY-SA 4.0",
        description="Left and right hippocampus",
        labels=labels,
        **channels,
        training=[
            {"image": "./imagesTr/h_001.nii.gz", "label": "./labelsTr/h_001.nii.gz"},
            {"image": "./imagesTr/h_003.nii.gz", "label": "./labelsTr/h_003.nii.gz"},
        ],
        test=["./imagesTs/h_002.nii.gz"],
        numTraining=2,
    )
    manifest = manifest_from(tmp_path)
    assert (manifest.name, manifest.licence) == ("Hippocampus", "CC-BY-SA 4.0")
    assert (manifest.classes, manifest.values) == (("Anterior", "Posterior"), ())
    assert (manifest.channels, manifest.modality) == (("MRI",), "MR")
    assert ids(manifest) == ["h_001", "h_003", "h_002"]
    assert [case.part for case in manifest.cases] == ["train", "train", "test"]
    assert [manifest.has_truth(case) for case in manifest.cases] == [True, True, False]
    write_manifest(manifest, tmp_path / "set.json")
    assert manifest_from(tmp_path / "set.json") == manifest


def test_a_file_of_nnunet_lists_no_cases_and_its_folders_do(tmp_path: Path) -> None:
    for case in ("a", "b"):
        empty(tmp_path / "imagesTr" / f"{case}_0000.nii.gz")
        empty(tmp_path / "imagesTr" / f"{case}_0001.nii.gz")
        empty(tmp_path / "labelsTr" / f"{case}.nii.gz")
    empty(tmp_path / "imagesTs" / "c_0000.nii.gz", tmp_path / "imagesTs" / "c_0001.nii.gz")
    dataset_json(
        tmp_path,
        channel_names={"0": "FLAIR", "1": "T1"},
        labels={"background": 0, "lesion": 3},
        numTraining=2,
        file_ending=".nii.gz",
    )
    manifest = manifest_from(tmp_path / "dataset.json")
    assert manifest.channels == ("FLAIR", "T1")
    assert (manifest.classes, manifest.values) == (("lesion",), (3,))
    assert [(case.id, case.part) for case in manifest.cases] == [
        ("a", "train"), ("b", "train"), ("c", "test"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"labels": {"whole": [1, 2], "core": 2}}, "region"),
        ({"labels": {"background": 0, "a": 1, "ignore": 2}}, "ignore"),
        ({"labels": {"a": "b"}}, "no value and name"),
        ({"labels": {"a": 1, "b": 1}}, "two names"),
        ({"labels": {"0": "liver", "1": "tumour"}}, "it is the background"),
        ({"labels": {"0": "background"}}, "nothing but background"),
        ({"labels": {"1": "a"}, "training": 3}, "training: is no list"),
        ({"labels": {"1": "a"}, "training": [{"label": "a"}]}, r"training\.0"),
        ({"labels": {"1": "a"}, "training": [{"image": "a", "label": 3}]}, "is no path"),
        ({"labels": {"1": "a"}, "training": []}, "no cases"),
        ({"something": 1}, "neither"),
    ],
)
def test_a_wrong_decathlon_file_says_what_is_wrong(
    tmp_path: Path, content: dict[str, Any], told: str
) -> None:
    with pytest.raises(ReadError, match=told):
        manifest_from(dataset_json(tmp_path, **content))


def test_a_table_of_label_maps_with_a_column_for_each_channel(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_image(tmp_path / "x" / f"{name}_flair.nii.gz")
        write_image(tmp_path / "x" / f"{name}_t1.nii.gz")
        write_label(tmp_path / "y" / f"{name}.nii.gz", 4)
    (tmp_path / "set.csv").write_text(
        "\ufeffID;Patient;FLAIR;T1;Label;Part\n"
        "a;P1;x/a_flair.nii.gz;x/a_t1.nii.gz;y/a.nii.gz;Training\n"
        "b;P2;x/b_flair.nii.gz;x/b_t1.nii.gz;y/b.nii.gz;val\n"
        ";;;;;\n",
        encoding="utf-8",
    )
    manifest = manifest_from(tmp_path / "set.csv")
    assert manifest.channels == ("FLAIR", "T1")
    assert (manifest.task, manifest.values) == ("segmentation", (4,))
    assert [(c.id, c.patient, c.part) for c in manifest.cases] == [
        ("a", "P1", "train"), ("b", "P2", "validation"),
    ]  # fmt: skip


def test_a_table_of_classes_calls_cases_after_their_images(tmp_path: Path) -> None:
    empty(tmp_path / "p1" / "1.png", tmp_path / "p2" / "1.png")
    (tmp_path / "set.csv").write_text("image,class\np1/1.png,b\np2/1.png,a\n")
    manifest = manifest_from(tmp_path / "set.csv")
    assert manifest.classes == ("a", "b")
    assert ids(manifest) == ["p1__1", "p2__1"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("image,class\n", "no row"),
        ("", "no row"),
        ("image\na.png\n", "column label"),
        ("image,label,class\na.png,b,c\n", "not both"),
        ("id,class\na,b\n", "no column of images"),
        ("image,image,class\na.png,a.png,b\n", "twice"),
        ("image,class\na.png\n", "line 2 has 1 cells"),
        ("image,class\nb.png,x\n", "line 2, column image: 'b.png' is no file"),
        ("image,age,class\na.png,61,x\n", "column age: '61' is no file"),
        ("image,class,part\na.png,x,dev\n", "column part: 'dev'"),
        ("image,class\na.png,x\na.png,y\n", "there twice"),
    ],
)
def test_a_wrong_table_says_line_and_column(tmp_path: Path, text: str, told: str) -> None:
    empty(tmp_path / "a.png")
    (tmp_path / "set.csv").write_text(text)
    with pytest.raises(ReadError, match=told):
        manifest_from(tmp_path / "set.csv")


@pytest.mark.parametrize("name", ["set.txt", "set.json", "nothing"])
def test_what_is_no_data_set_is_refused_with_what_would_be_one(tmp_path: Path, name: str) -> None:
    (tmp_path / "set.txt").write_text("text")
    (tmp_path / "set.json").write_text("{}")
    with pytest.raises(ReadError) as caught:
        manifest_from(tmp_path / name)
    assert caught.value.hint
    with pytest.raises(ReadError, match=r"it holds set\.json, set\.txt"):
        manifest_from(tmp_path)


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    empty(tmp_path / "images" / "a.nii.gz", tmp_path / "images" / "a.nrrd", tmp_path / "labels/x")
    with pytest.raises(ReadError, match="same name"):
        manifest_from(tmp_path)


def test_patients_are_read_out_of_ids(tmp_path: Path) -> None:
    for number in (1, 2):
        for visit in "ab":
            empty(
                tmp_path / "A" / f"sub-{number}_{visit}.png", tmp_path / "B" / f"sub-9_{visit}.png"
            )
    manifest = manifest_from(tmp_path)
    whole = with_patients(manifest, r"sub-\d+")
    assert {case.patient for case in whole.cases} == {"sub-1", "sub-2", "sub-9"}
    part = with_patients(manifest, r"sub-(\d+)_")
    assert {case.patient for case in part.cases} == {"1", "2", "9"}
    with pytest.raises(MedcnnError, match="not in this id"):
        with_patients(manifest, r"sub-1")
    with pytest.raises(MedcnnError, match="no regular expression"):
        with_patients(manifest, "(")


def with_patient(folder: Path, patient: str) -> None:
    for file in folder.iterdir():
        dataset = pydicom.dcmread(file)
        dataset.PatientID = patient
        dataset.save_as(file)


def test_patients_of_dicom_images_are_numbered_and_not_named(tmp_path: Path) -> None:
    for case, patient in (("A/1", "secret-7"), ("A/2", "secret-9"), ("B/1", "secret-7")):
        series(tmp_path / case, GRID)
        with_patient(tmp_path / case, patient)
    write_image(tmp_path / "B" / "2.nii.gz")
    manifest = manifest_from(tmp_path)
    assert {case.id: case.patient for case in manifest.cases} == {
        "A__1": "patient 1", "A__2": "patient 2", "B__1": "patient 1", "B__2": None,
    }  # fmt: skip
    for case in ("A/1", "A/2", "B/1"):
        with_patient(tmp_path / case, "ANONYMOUS")
    assert {case.patient for case in manifest_from(tmp_path).cases} == {None}


def test_reading_labels_for_their_classes_can_be_cancelled(tmp_path: Path) -> None:
    write_image(tmp_path / "images" / "a.nii.gz")
    write_label(tmp_path / "labels" / "a.nii.gz", 1)
    control = JobControl()
    control.cancel()
    with pytest.raises(Cancelled):
        manifest_from(tmp_path, control)


def test_a_manifest_is_a_source_too(tmp_path: Path) -> None:
    write_image(tmp_path / "images" / "a.nii.gz")
    write_label(tmp_path / "labels" / "a.nii.gz", 1)
    write_manifest(manifest_from(tmp_path), tmp_path / "set.json")
    assert manifest_from(tmp_path / "set.json") == read_manifest(tmp_path / "set.json")
    shutil.rmtree(tmp_path / "labels")
    with pytest.raises(ReadError, match="no labels"):
        manifest_from(tmp_path)
