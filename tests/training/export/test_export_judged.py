"""A bundle with the figures of its held-out cases: what its card says, and when it must not."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch

from napari_medcnn.core.classification import Classification
from napari_medcnn.core.events import Event, JobControl, run_to_end
from napari_medcnn.evaluation.overlap import dice
from napari_medcnn.inference.classify import classify
from napari_medcnn.io.read import read
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.registry import find_model
from napari_medcnn.training.export import Exported, export_bundle, finish
from napari_medcnn.training.held_out import HeldOut
from napari_medcnn.training.job import Ending
from napari_medcnn.training.prepared_case import prepare_case
from napari_medcnn.training.run import Trained, train
from napari_medcnn.training.strict_json import read_record
from tests.training.export.bundles import (
    finished,
    in_file_order,
    labels_of,
    trained_network,
)
from tests.training.made_run import (
    make_run,
    picture_job,
    tiny_job,
    with_test_part,
)
from tests.training.tiny_run import RESOURCES


def test_held_out_figures_are_those_of_the_labels_that_a_user_gets(tmp_path: Path) -> None:
    job = with_test_part(tiny_job(tmp_path / "data"))
    run = make_run(tmp_path / "run", job)
    result = finished(run.path)
    assert result.installed == find_model("balls").path
    assert result.held_out is not None
    assert (result.held_out.part, result.held_out.cases) == ("test", 2)
    table = pd.read_csv(run.evaluation / "cases.csv")
    assert set(table["case"]) == set(job.split.test)
    for name in job.split.test:
        case = job.manifest.case(name)
        assert case.label is not None
        ours = in_file_order(labels_of(result.bundle, case.images[0]), case.images[0])
        truth = np.asarray(nib.load(case.label).dataobj)
        for value, label in enumerate(job.manifest.classes, 1):
            row = table[(table["case"] == name) & (table["label"] == label)].iloc[0]
            assert row["dice"] == pytest.approx(dice(ours == value, truth == value))
    metadata = json.loads((result.bundle / "configs" / "metadata.json").read_text())
    mean = table.groupby("case")["dice"].mean().mean()
    assert metadata["eval_metrics"]["dice mean of labels"] == pytest.approx(mean, abs=1e-6)
    assert read_record(run.evaluation / "held_out.json", HeldOut) == result.held_out
    card = (find_model("balls").path / "docs" / "README.md").read_text()
    assert f"{mean:.3f}" in card
    assert "2 test cases of 2 patients" in card


def test_a_real_run_ends_in_a_model_that_does_what_was_learnt(tmp_path: Path) -> None:
    ending = Ending(epochs=12, validate_every=6)
    job = with_test_part(tiny_job(tmp_path / "data", cases=8, ending=ending))
    run_to_end(train(job, tmp_path / "run", RESOURCES), Trained)
    held_out = finished(tmp_path / "run").held_out
    assert held_out is not None
    assert "12 of 12 epochs" in (find_model("balls").path / "docs" / "README.md").read_text()
    before = make_run(tmp_path / "untaught", job)
    untaught = finished(before.path).held_out
    assert untaught is not None
    taught, random = (h.segmentation[0].figures["dice"].estimate for h in (held_out, untaught))
    assert taught is not None and random is not None
    assert taught > random + 0.3


def test_figures_of_other_weights_are_not_in_the_card(tmp_path: Path) -> None:
    job = with_test_part(tiny_job(tmp_path / "data"))
    run = make_run(tmp_path / "run", job)
    finished(run.path)
    shutil.copy(make_run(tmp_path / "more", job, seed=5).best, run.best)
    bundle = export_bundle(run.path)
    assert "was not measured" in (bundle / "docs" / "README.md").read_text()
    assert json.loads((bundle / "configs/metadata.json").read_text())["eval_metrics"] == {}


def test_without_a_test_part_the_card_says_that_the_figures_flatter(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", tiny_job(tmp_path / "data"))
    result = finished(run.path)
    assert result.held_out is not None and result.held_out.part == "validation"
    card = (result.bundle / "docs" / "README.md").read_text()
    assert "There was no test part" in card


def test_a_bad_held_out_case_is_told_and_the_model_comes_all_the_same(tmp_path: Path) -> None:
    job = with_test_part(tiny_job(tmp_path / "data"))
    run = make_run(tmp_path / "run", job)
    job.manifest.case(job.split.test[0]).images[0].unlink()
    events: list[Event] = []
    result = run_to_end(finish(run.path), Exported, events.append)
    assert result.held_out is not None
    assert (result.held_out.cases, len(result.held_out.failed)) == (1, 1)
    assert job.split.test[0] in result.held_out.failed[0]
    assert "1 case could not be measured" in (result.bundle / "docs/README.md").read_text()


def test_what_a_model_started_from_stands_in_card_and_licence(tmp_path: Path) -> None:
    job = tiny_job(tmp_path / "data")
    manifest = replace(job.manifest, licence="CC0")
    export_bundle(make_run(tmp_path / "first", replace(job, manifest=manifest)).path)
    origin = find_model("balls")
    choice = replace(job.network, start_from=origin.path)
    second = replace(job, name="more_balls", network=choice)
    bundle = export_bundle(make_run(tmp_path / "second", second).path)
    card = (bundle / "docs" / "README.md").read_text()
    assert "Started from Balls" in card
    assert "licence: data: CC0" in card
    assert "started from balls: data: CC0" in (bundle / "LICENSE").read_text()
    assert read_bundle(bundle).licence.endswith("started from balls: data: CC0")


def test_a_classifier_is_judged_and_put_into_the_list_of_models(
    tmp_path: Path, models: Path
) -> None:
    job = picture_job(tmp_path / "pictures")
    run = make_run(tmp_path / "run", job)
    result = finished(run.path)
    assert result.installed == models / "brightness"
    assert find_model("brightness").task == "classification"
    held_out = result.held_out
    assert held_out is not None and held_out.classification is not None
    table = pd.read_csv(run.evaluation / "cases.csv")
    assert held_out.classification.accuracy.estimate == pytest.approx(table["right"].mean())
    own = [row[f"p {row['truth']}"] for _, row in table.iterrows()]
    assert own == sorted(own), "the worst case stands first"
    card = (result.bundle / "docs" / "README.md").read_text()
    assert "Confusion matrix" in card
    assert "balanced accuracy" in card


def test_a_classifiers_bundle_says_so_and_classifies_as_it_was_judged(tmp_path: Path) -> None:
    job = picture_job(tmp_path / "pictures")
    run = make_run(tmp_path / "run", job)
    bundle = finished(run.path).bundle
    own: dict[str, Any] = json.loads((bundle / "configs/metadata.json").read_text())["medcnn"]
    assert (own["task"], own["classes"]) == ("classification", ["bright", "dark", "middle"])
    spec = read_bundle(bundle)
    assert [label.name for label in spec.labels] == own["classes"]
    table = pd.read_csv(run.evaluation / "cases.csv", dtype={"case": str}).set_index("case")
    network = trained_network(job)
    for name in job.split.test:
        case = job.manifest.case(name)
        (volume,) = read(case.images[0])
        found = run_to_end(classify(volume, spec), Classification).probabilities[0]
        judged = table.loc[name, [f"p {one}" for one in own["classes"]]].to_numpy(float)
        np.testing.assert_allclose(found, judged, atol=1e-5)
        image = prepare_case(job, case, JobControl()).image[None, ..., 0]
        with torch.no_grad():
            expected = network(image).softmax(1)[0].numpy()
        np.testing.assert_allclose(found, expected, atol=1e-5)
