"""A prepared case: the image that inference gives, the label where it lies, and clear refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from napari_medcnn.core.errors import Cancelled, MedcnnError
from napari_medcnn.core.events import JobControl
from napari_medcnn.inference.preprocess import prepare
from napari_medcnn.io.read import read
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.training.job import Preprocessing, Sampling
from napari_medcnn.training.manifest import TrainCase
from napari_medcnn.training.prepared_case import (
    MAX_FOREGROUND,
    PreparedCase,
    foreground_voxels,
    prepare_case,
)
from napari_medcnn.training.steps import preprocessing_steps
from tests.bundle_factory import make_bundle
from tests.training.seen_jobs import (
    hippocampus_cases,
    job_of,
    sarcoma_case,
    slice_cases,
    write_case,
    write_image,
)

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:monai")


def prepared(case: TrainCase, **job: object) -> PreparedCase:
    return prepare_case(job_of((case,), **job), case, JobControl())


@pytest.mark.parametrize(
    "given",
    [
        Preprocessing((1.2, 1.0, 0.9)),
        Preprocessing(None, None, "z_score_nonzero"),
        Preprocessing((3.0, 2.0, 2.0), None, "range", (0.0, 400.0), denoise="gaussian"),
        Preprocessing(None, (16, 32, 32), denoise="curvature_anisotropic_diffusion"),
    ],
)
@pytest.mark.parametrize("which", ["hippocampus", "sarcoma"])
def test_training_sees_bit_for_bit_what_inference_gives_the_network(
    shared_data: Path, tmp_path: Path, given: Preprocessing, which: str
) -> None:
    case = (
        hippocampus_cases(shared_data, 1)[0]
        if which == "hippocampus"
        else sarcoma_case(shared_data)
    )
    job = job_of((case,), preprocessing=given)
    steps = [{"_target_": s.target, **s.arguments} for s in preprocessing_steps(job)]
    bundle = make_bundle(tmp_path, spacing=None, orientation=None, extra_steps=steps)
    events = prepare(read(case.images[0]), read_bundle(bundle), JobControl())
    while True:
        try:
            next(events)
        except StopIteration as end:
            expected = end.value.tensor
            break
    assert torch.equal(prepare_case(job, case, JobControl()).image, expected)


def test_a_label_keeps_its_place_and_volume_on_the_grid_of_thick_slices(shared_data: Path) -> None:
    case = sarcoma_case(shared_data)
    seen = prepared(case, classes=("mass",), preprocessing=Preprocessing((3.0, 1.5, 1.5)))
    mask = sitk.ReadImage(str(case.label))
    stored = sitk.GetArrayFromImage(mask)
    volume_mm3 = stored.sum() * np.prod(mask.GetSpacing())
    label = seen.label
    assert isinstance(label, torch.Tensor)
    assert seen.spacing_mm == pytest.approx((1.5, 1.5, 3.0))
    assert label.sum().item() * np.prod(seen.spacing_mm) == pytest.approx(volume_mm3, rel=0.03)
    # The mass lies as deep within the image's box as it does in the file: RAS runs the other way.
    extent = np.array(mask.GetSize()) * mask.GetSpacing()
    middle = (np.argwhere(stored)[:, ::-1].mean(0) + 0.5) * mask.GetSpacing()
    seen_middle = (np.argwhere(label.numpy()).mean(0) + 0.5) * seen.spacing_mm
    flipped = np.array([extent[0] - middle[0], extent[1] - middle[1], middle[2]])
    assert np.abs(seen_middle - flipped).max() < 1.5


def test_image_and_label_stored_in_other_orders_of_axes_meet_voxel_by_voxel(
    tmp_path: Path,
) -> None:
    case = write_case(tmp_path)
    plain = prepared(case)
    image = sitk.ReadImage(str(case.images[0]))
    turned = sitk.PermuteAxes(image, [2, 0, 1])
    flipped = sitk.Flip(sitk.ReadImage(str(case.label)), [True, False, True])
    sitk.WriteImage(turned, str(tmp_path / "turned.nii.gz"))
    sitk.WriteImage(flipped, str(tmp_path / "flipped.nii.gz"))
    other = replace(case, images=(tmp_path / "turned.nii.gz",), label=tmp_path / "flipped.nii.gz")
    seen = prepared(other)
    assert torch.equal(seen.label, plain.label)
    assert torch.allclose(seen.image, plain.image, atol=1e-5)


def test_channels_on_other_grids_are_brought_onto_the_first(tmp_path: Path) -> None:
    case = write_case(tmp_path)
    image = sitk.ReadImage(str(case.images[0]))
    finer = sitk.Resample(
        image, [32, 40, 48], sitk.Transform(), sitk.sitkLinear, image.GetOrigin(),
        [0.5, 0.5, 0.5], image.GetDirection(),
    )  # fmt: skip
    sitk.WriteImage(finer, str(tmp_path / "finer.nii.gz"))
    both = replace(case, images=(case.images[0], tmp_path / "finer.nii.gz"))
    seen = prepared(both, channels=("T1", "T2"))
    assert seen.image.shape[0] == 2
    assert seen.image.shape[1:] == seen.label.shape
    inner = (slice(2, -2),) * 3
    one, two = seen.image[0][inner].numpy(), seen.image[1][inner].numpy()
    assert np.corrcoef(one.ravel(), two.ravel())[0, 1] > 0.95


def test_one_file_may_hold_all_channels_as_frames(tmp_path: Path) -> None:
    case = write_case(tmp_path)
    image = sitk.ReadImage(str(case.images[0]))
    sitk.WriteImage(sitk.JoinSeries([image, image * 2]), str(tmp_path / "both.nii.gz"))
    seen = prepared(replace(case, images=(tmp_path / "both.nii.gz",)), channels=("a", "b"))
    assert torch.allclose(seen.image[0], seen.image[1], atol=1e-5)  # each by its own mean


def test_a_label_on_another_grid_is_refused_with_the_case_s_name(tmp_path: Path) -> None:
    case = write_case(tmp_path)
    array = sitk.GetArrayFromImage(sitk.ReadImage(str(case.label)))
    moved = write_image(tmp_path / "moved.nii.gz", array, (2.0, 1.0, 1.0), (1.0, 0.0, 0.0))
    with pytest.raises(MedcnnError, match=r"^case0: .*moved.*grid differs"):
        prepared(replace(case, label=moved))


def test_every_refusal_names_the_case(tmp_path: Path) -> None:
    case = write_case(tmp_path)
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(case.images[0].read_bytes()[:300])
    for wrong, changes, text in (
        (case, {"classes": ("one",)}, "value 2"),
        (replace(case, label=None), {}, "no label"),
        (case, {"channels": ("a", "b")}, "1 images for 2 channels"),
        (replace(case, images=(broken,)), {}, "broken"),
        (replace(case, images=(tmp_path / "gone.nii.gz",)), {}, "does not exist"),
        (replace(case, target="other"), {"task": "classification"}, "'other' is none of"),
        (case, {"task": "classification"}, "no class"),
    ):
        with pytest.raises(MedcnnError, match=text) as raised:
            prepared(wrong, **changes)
        assert raised.value.source == "case0"


def test_label_values_of_the_manifest_become_classes_in_its_order(tmp_path: Path) -> None:
    case = write_case(tmp_path)
    seen = prepared(case)
    swapped = prepared(case, values=(2, 1))
    assert torch.equal(torch.tensor([0, 2, 1])[seen.label.long()], swapped.label.long())


def test_foreground_voxels_are_voxels_of_their_class_and_not_too_many(shared_data: Path) -> None:
    (case,) = hippocampus_cases(shared_data, 1)
    seen = prepared(case)
    for number, voxels in enumerate(seen.foreground, start=1):
        assert len(voxels) == (seen.label == number).sum()
        assert (seen.label.numpy()[tuple(voxels.T)] == number).all()
    large = np.ones((40, 40, 40), np.int16)
    (some, none) = foreground_voxels(large, 2)
    assert some.shape == (MAX_FOREGROUND, 3)
    assert len(np.unique(some, axis=0)) == MAX_FOREGROUND
    assert none.shape == (0, 3)
    assert np.array_equal(some, foreground_voxels(large, 2)[0])


def test_a_picture_becomes_one_slice_of_the_stated_size_and_its_class(shared_data: Path) -> None:
    cases = slice_cases(shared_data, 1)
    job = job_of(
        cases,
        task="classification",
        classes=("glioma", "meningioma", "no", "pituitary"),
        modality="",
        preprocessing=Preprocessing(size=(1, 64, 48)),
        sampling=Sampling((1, 64, 48)),
    )
    for index, case in enumerate(cases):
        seen = prepare_case(job, case, JobControl())
        assert seen.image.shape == (1, 48, 64, 1)
        assert seen.image.dtype == torch.float32
        assert seen.label == index
    upright = sitk.GetArrayFromImage(sitk.ReadImage(str(cases[-1].images[0]))).squeeze()
    small = sitk.GetArrayFromImage(
        sitk.Resample(
            sitk.GetImageFromArray(upright.astype(np.float32)), [48, 64], sitk.Transform(),
            sitk.sitkLinear, [0, 0], [upright.shape[1] / 48, upright.shape[0] / 64],
        )
    )  # fmt: skip
    assert np.corrcoef(small.ravel(), seen.image[0, :, :, 0].numpy().T.ravel())[0, 1] > 0.9


def test_a_volume_is_classified_resized(tmp_path: Path) -> None:
    case = replace(write_case(tmp_path), label=None, target="no")
    seen = prepared(
        case,
        task="classification",
        classes=("yes", "no"),
        preprocessing=Preprocessing(size=(8, 10, 8)),
    )
    assert seen.image.shape == (1, 8, 10, 8)
    assert seen.label == 1
    assert seen.foreground == ()
    assert seen.spacing_mm == pytest.approx((2.0, 2.0, 3.0))


def test_cancelling_ends_it(tmp_path: Path) -> None:
    control = JobControl()
    control.cancel()
    case = write_case(tmp_path)
    with pytest.raises(Cancelled):
        prepare_case(job_of((case,)), case, control)
