"""Proposed jobs are sound, follow their rules, and say why."""

from __future__ import annotations

import dataclasses
from math import prod
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.events import JobControl, run_to_end
from napari_medcnn.training.default_grid import normalised, shape_at, target_spacing
from napari_medcnn.training.default_means import MEANS
from napari_medcnn.training.defaults import propose
from napari_medcnn.training.fingerprint import CaseFacts, Fingerprint, Intensities, measure
from napari_medcnn.training.job_problems import job_problems
from napari_medcnn.training.manifest import Manifest, Split, TrainCase
from napari_medcnn.training.networks import network_names
from napari_medcnn.training.proposal import Proposal

NAMED = {"name": "model", "title": "Model"}
Shape = tuple[int, int, int]
Spacing = tuple[float, float, float]


def segmentation(
    *cases: tuple[Shape, Spacing],
    modality: str = "MR",
    classes: tuple[str, ...] = ("lesion",),
    zero_share: float = 0.0,
    share: float = 0.02,
) -> tuple[Manifest, Split, Fingerprint]:
    """A data set whose training cases have these shapes and spacings ``(z, y, x)``."""
    ids = [f"case {n}" for n in range(len(cases))]
    facts = tuple(
        CaseFacts(i, shape, mm, zero_share, (int(share * prod(shape)),) * len(classes))
        for i, (shape, mm) in zip(ids, cases, strict=True)
    )
    label = Path("label.nii")
    everyone = (*ids, "other")
    manifest = Manifest(
        "data",
        "segmentation",
        ("image",),
        classes,
        tuple(TrainCase(i, (Path("image.nii"),), label=label) for i in everyone),
        modality=modality,
    )
    values = Intensities("image", 40.0, 90.0, -900.0, -150.0, 50.0, 300.0, 1200.0)
    print_ = Fingerprint("segmentation", classes, facts, (values,), 0)
    return manifest, Split(tuple(ids), ("other",)), print_


def classification(shape: Shape, cases: int = 40) -> tuple[Manifest, Split, Fingerprint]:
    ids = [f"case {n}" for n in range(cases)]
    kinds = ("no", "yes")
    facts = tuple(
        CaseFacts(i, shape, (1.0, 1.0, 1.0), 0.1, target=kinds[n % 2]) for n, i in enumerate(ids)
    )
    everyone = tuple(
        TrainCase(i, (Path("picture.png"),), target=kinds[n % 2])
        for n, i in enumerate([*ids, "other"])
    )
    manifest = Manifest("data", "classification", ("grey",), kinds, everyone)
    values = Intensities("grey", 60.0, 50.0, 0.0, 0.0, 55.0, 240.0, 255.0)
    return (
        manifest,
        Split(tuple(ids), ("other",)),
        Fingerprint("classification", kinds, facts, (values,), 0),
    )


def texts(proposal: Proposal) -> dict[str, str]:
    return {reason.where: reason.text for reason in proposal.reasons}


@settings(max_examples=40)
@given(
    shape=st.tuples(st.integers(1, 400), st.integers(16, 600), st.integers(16, 600)),
    spacing=st.tuples(st.floats(0.3, 8), st.floats(0.3, 2), st.floats(0.3, 2)),
    device=st.sampled_from(["cpu", "cuda"]),
    minutes=st.one_of(st.none(), st.floats(1, 600)),
    number=st.integers(0, 4),
)
def test_every_proposed_segmentation_is_sound_and_within_its_means(
    shape: Shape, spacing: Spacing, device: Any, minutes: float | None, number: int
) -> None:
    data = segmentation((shape, spacing), (shape, spacing))
    dimensions = 2 if shape[0] < 8 else 3
    network = network_names("segmentation", dimensions)[number]
    made = propose(*data, **NAMED, minutes=minutes, network=network, device=device)
    assert job_problems(made.job) == ()
    assert made == propose(*data, **NAMED, minutes=minutes, network=network, device=device)
    kind = "cpu" if device == "cpu" else "gpu"
    most = MEANS["segmentation", dimensions, kind].patch_voxels
    if network != "swinunetr":
        assert prod(made.job.sampling.patch) <= most
    assert made.job.network.dimensions == dimensions


@settings(max_examples=40)
@given(
    shape=st.tuples(st.sampled_from([1, 40, 100]), st.integers(16, 600), st.integers(16, 600)),
    device=st.sampled_from(["cpu", "cuda"]),
    number=st.integers(0, 14),
)
def test_every_proposed_classification_is_sound(shape: Shape, device: Any, number: int) -> None:
    data = classification(shape)
    names = network_names("classification", 2 if shape[0] == 1 else 3)
    network = names[number % len(names)]
    made = propose(*data, **NAMED, minutes=5, network=network, device=device)
    assert job_problems(made.job) == ()
    assert made.job.preprocessing.size == made.job.sampling.patch


def test_every_choice_has_its_reason() -> None:
    made = propose(*segmentation(((80, 90, 100), (1.0, 1.0, 1.0))), **NAMED, device="cpu")
    for where in (
        "network.name", "network.dimensions", "preprocessing.spacing_mm", "sampling.patch",
        "preprocessing.normalisation", "sampling.batch", "optimisation", "optimisation.loss",
        "augmentation", "mirror_axes", "ending.epochs",
    ):  # fmt: skip
        assert texts(made)[where]
    assert made.text.count("\n") == len(made.reasons) - 1


def test_the_spacing_is_the_median_and_finer_across_thick_slices() -> None:
    even = segmentation(*[((60, 60, 60), (mm, 1.0, 1.0)) for mm in (1.0, 1.2, 1.4)])[2]
    assert target_spacing(even).value == pytest.approx((1.2, 1.0, 1.0))
    thick = [((20, 300, 300), (float(mm), 0.7, 0.7)) for mm in range(2, 13)]
    chosen = target_spacing(segmentation(*thick)[2])
    assert chosen.value == pytest.approx((3.0, 0.7, 0.7))
    assert "thick slices along z" in chosen.why
    assert shape_at(segmentation(*thick)[2], (3.5, 0.7, 0.7))[0] == pytest.approx(40, abs=4)


def test_ct_is_clipped_to_its_foreground_and_mr_is_not() -> None:
    ct = segmentation(((60, 60, 60), (1.0, 1.0, 1.0)), modality="CT")
    given_ = normalised(ct[0], ct[2]).value
    assert (given_.normalisation, given_.clip) == ("ct", (-150.0, 300.0))
    assert (given_.mean, given_.std) == (40.0, 90.0)
    mr = segmentation(((60, 60, 60), (1.0, 1.0, 1.0)))
    assert normalised(mr[0], mr[2]).value.normalisation == "z_score"
    stripped = segmentation(((60, 60, 60), (1.0, 1.0, 1.0)), zero_share=0.6)
    chosen = normalised(stripped[0], stripped[2])
    assert chosen.value.normalisation == "z_score_nonzero"
    assert "60%" in chosen.why


def test_an_image_that_fits_is_seen_whole_and_a_larger_one_in_cubes_of_it() -> None:
    small = propose(*segmentation(((35, 50, 36), (1.0, 1.0, 1.0))), **NAMED, device="cpu").job
    assert small.sampling.patch == (40, 56, 40)
    assert small.network.arguments["channels"] == [16, 32, 64, 128]
    large = propose(*segmentation(((100, 512, 512), (3.0, 0.7, 0.7))), **NAMED, device="cuda").job
    z, y, x = (n * mm for n, mm in zip(large.sampling.patch, (3.0, 0.7, 0.7), strict=True))
    assert large.network.name == "dynunet"
    assert max(z, y, x) / min(z, y, x) < 1.5


def test_a_budget_of_minutes_makes_epochs_that_can_be_watched() -> None:
    data = segmentation(*[((35, 50, 36), (1.0, 1.0, 1.0))] * 120)
    made = propose(*data, **NAMED, minutes=20, device="cpu").job
    assert made.ending.minutes == 20
    assert made.ending.epochs is None
    assert 60 <= made.sampling.steps_per_epoch <= 250
    slow = propose(*data, **NAMED, minutes=20, network="swinunetr", device="cpu").job
    assert slow.sampling.steps_per_epoch < made.sampling.steps_per_epoch


def test_sides_that_have_names_are_not_mirrored() -> None:
    one = ((60, 60, 60), (1.0, 1.0, 1.0))
    for classes in (("left lung", "right lung"), ("kidney_left",), ("LH",)):
        made = propose(*segmentation(one, classes=classes), **NAMED, device="cpu")
        assert made.job.mirror_axes == (), classes
    for classes in (("cleft",), ("bright spot",), ("lesion",)):
        made = propose(*segmentation(one, classes=classes), **NAMED, device="cpu")
        assert made.job.mirror_axes == (2,), classes


def test_a_short_run_over_many_cases_is_augmented_less() -> None:
    data = segmentation(*[((35, 50, 36), (1.0, 1.0, 1.0))] * 127)
    short = propose(*data, **NAMED, minutes=20, device="cpu").job
    assert (short.augmentation, short.mirror_axes) == ("light", ())
    long = propose(*data, **NAMED, minutes=200, device="cpu").job
    assert (long.augmentation, long.mirror_axes) == ("standard", (2,))


def test_pictures_are_seen_as_pictures() -> None:
    made = propose(*classification((1, 160, 150)), **NAMED, device="cpu").job
    assert made.network.dimensions == 2
    assert made.preprocessing.size is not None
    assert made.preprocessing.size[0] == 1
    assert made.preprocessing.normalisation == "range"
    assert made.optimisation.loss == "cross_entropy"
    classic = propose(*classification((1, 160, 150)), **NAMED, network="classic_cnn", device="cpu")
    assert classic.job.preprocessing.size == (1, 64, 64)


def test_a_slow_classifier_is_not_promised_the_steps_of_a_fast_one() -> None:
    data = classification((1, 160, 150), cases=1700)
    vgg, resnet, classic = (
        propose(*data, **NAMED, minutes=5, network=name, device="cpu").job
        for name in ("vgg11", "resnet18", "classic_cnn")
    )
    assert [job.optimisation.warmup_steps for job in (vgg, resnet, classic)] == [12, 20, 100]
    assert classic.sampling.steps_per_epoch > 5 * resnet.sampling.steps_per_epoch
    assert [job.sampling.batch for job in (vgg, resnet, classic)] == [8, 16, 32]
    longer = propose(*data, **NAMED, minutes=60, network="vgg11", device="cpu").job
    assert longer.sampling.batch == 32


def test_what_does_not_belong_together_is_refused() -> None:
    manifest, split, _ = segmentation(((60, 60, 60), (1.0, 1.0, 1.0)))
    other = segmentation(((60, 60, 60), (1.0, 1.0, 1.0)), classes=("tumour",))[2]
    with pytest.raises(MedcnnError, match="another data set"):
        propose(manifest, split, other, **NAMED)
    data = segmentation(((60, 60, 60), (1.0, 1.0, 1.0)))
    with pytest.raises(MedcnnError, match="no network 'resnet18'"):
        propose(*data, **NAMED, network="resnet18", device="cpu")


def test_a_real_ct_gets_a_sound_job(shared_data: Path) -> None:
    root = shared_data / "ct"
    label = root / "example_seg.nii.gz"
    values = tuple(int(v) for v in np.unique(np.asarray(nib.load(label).dataobj)) if v)
    names = tuple(f"organ {value}" for value in values)
    image = root / "example_ct_sm.nii.gz"
    cases = tuple(TrainCase(name, (image,), label=label) for name in ("one", "two"))
    manifest = Manifest("CT", "segmentation", ("CT",), names, cases, "CT", values)
    split = Split(("one",), ("two",))
    found = run_to_end(measure(manifest, split, JobControl()), Fingerprint)
    job = propose(manifest, split, found, **NAMED, minutes=20, device="cpu").job
    assert job_problems(job) == ()
    assert job.preprocessing.spacing_mm == pytest.approx((3.0, 3.0, 3.0), abs=0.01)
    assert job.preprocessing.clip is not None
    low, high = job.preprocessing.clip
    assert -1050 < low < -500 < 100 < high < 1500
    assert dataclasses.asdict(job)["network"]["name"] == "unet"
