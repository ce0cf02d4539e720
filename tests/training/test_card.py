"""The card says what is known of a model, what is not, and how good it was on whom."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_medcnn.core.segmentation import ModelReference
from napari_medcnn.evaluation.case_table import LabelSummary
from napari_medcnn.evaluation.classification import classification_figures
from napari_medcnn.evaluation.confidence import bootstrap_interval
from napari_medcnn.models.spec import Step
from napari_medcnn.training.card import Making, model_card, training_statement
from napari_medcnn.training.held_out import HeldOut
from napari_medcnn.training.job import TrainJob
from tests.training.made_run import picture_job, tiny_job, with_test_part

MAKING = Making(
    parameters=1_234_567,
    definition={"_target_": "UNet", "channels": [4, 8]},
    steps=(Step("Orientationd", {"keys": "image", "axcodes": "RAS"}),),
    epochs=7,
    epochs_planned=10,
    best_epoch=5,
    best=0.8,
    ended="stopped",
    seconds=600,
    environment=(
        {
            "device": "cpu",
            "device_name": "a processor",
            "torch_threads": 3,
            "processes": 2,
            "system": "Linux",
            "versions": {"torch": "2.13"},
            "commit": "abc123",
        },
    ),
)


@pytest.fixture
def job(tmp_path: Path) -> TrainJob:
    made = with_test_part(tiny_job(tmp_path))
    manifest = replace(made.manifest, licence="CC0", description="Balls | in noise.")
    return replace(made, manifest=manifest)


def held_out(**changes: object) -> HeldOut:
    dice = bootstrap_interval(np.linspace(0.7, 0.9, 8))
    summary = (LabelSummary("core", {"dice": dice, "hd95_mm": bootstrap_interval([12.34, 23.4])}),)
    found = HeldOut("test", "", 8, 8, segmentation=summary)
    return replace(found, **changes)  # type: ignore[arg-type]


def test_data_making_machine_and_software_are_told(job: TrainJob) -> None:
    card = model_card(job, MAKING, held_out())
    for words in (
        "# Balls",
        "Research only",
        "Licence of the data: CC0",
        "| train | 2 | 2 patients |",
        "| test | 2 | 2 patients |",
        "drawn with seed 0",
        "`Orientationd`: axcodes RAS",
        "UNet, 1,234,567 parameters",
        "7 of 10 epochs of 3 steps with 2 patches, stopped by the user; 10.0 minutes",
        "dice in validation: 0.8000, after epoch 5",
        "cpu (a processor), 3 threads, 2 processes",
        "torch 2.13; source code at commit abc123",
        "The run did not come to its planned end",
        "From scratch",
    ):
        assert words in card, words


def test_figures_stand_with_their_intervals_and_those_without_say_so(job: TrainJob) -> None:
    found = held_out()
    dice = found.segmentation[0].figures["dice"]
    card = model_card(job, MAKING, found)
    assert f"| core | 0.800 ({dice.low:.3f}–{dice.high:.3f}) | 17.9 (no interval) |" in card
    assert "8 test cases of 8 patients" in card
    assert "NSD |" not in card, "nobody measured it"


def test_unknown_patients_are_said_to_be_unknown(job: TrainJob) -> None:
    cases = tuple(replace(case, patient=None) for case in job.manifest.cases)
    groups = {case.id: "one group" for case in cases}
    split = replace(job.split, groups=groups)
    job = replace(job, manifest=replace(job.manifest, cases=cases), split=split)
    card = model_card(job, MAKING, held_out())
    assert "It is not known which cases are of one patient" in card
    assert "| train | 2 | patients unknown; 1 group of cases" in card
    assert "8 test cases of 8 groups" in card
    assert "It is not known" in training_statement(job)


def test_folds_notes_and_origin_are_told(job: TrainJob) -> None:
    split = replace(job.split, fold=1, folds=5, notes=("Two cases had no truth.",))
    origin = ModelReference("lesions", "1.2", "0123456789abcdef0000", "Lesions")
    making = replace(MAKING, origin=origin, origin_licence="BSD-3-Clause")
    card = model_card(replace(job, split=split), making, None)
    assert "fold 2 of 5" in card
    assert "- Two cases had no truth." in card
    assert "Started from Lesions 1.2 (`lesions`, weights 0123456789abcdef), licence: BSD" in card
    assert "may have seen cases of the held-out part" in card
    assert "was not measured on held-out cases" in card


def test_validation_cases_are_no_test(job: TrainJob) -> None:
    card = model_card(job, MAKING, held_out(part="validation", failed=("a: unreadable",)))
    assert "There was no test part" in card
    assert "1 case could not be measured" in card


def test_classes_stand_in_a_table_with_a_confusion_matrix(tmp_path: Path) -> None:
    job = picture_job(tmp_path)
    truth = [0, 0, 1, 1, 1, 0]
    given = np.eye(3)[[0, 1, 1, 1, 0, 0]] * 0.8 + 0.2 / 3
    figures = classification_figures(truth, given, job.manifest.classes, resamples=100)
    card = model_card(job, MAKING, HeldOut("test", "", 6, 6, classification=figures))
    assert "| bright | 3 | 0.667" in card
    assert "| dark | 1 | 2 | 0 |" in card
    assert "no case of middle" in card
    assert "| macro ROC AUC | - |" in card
    assert "Windows of" not in card


def test_names_cannot_break_a_table(job: TrainJob) -> None:
    summary = (LabelSummary("a|b", {"dice": bootstrap_interval([0.5])}),)
    card = model_card(job, MAKING, held_out(segmentation=summary))
    assert r"| a\|b | 0.500 (no interval) |" in card


def test_what_was_not_recorded_is_not_made_up(job: TrainJob) -> None:
    card = model_card(job, Making(1, {"_target_": "UNet"}, ()), None)
    assert "Not recorded." in card
    assert "Machine" not in card
    assert "Best" not in card
