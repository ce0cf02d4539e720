"""A trained classifier's temperature: fitted on validation cases, in the bundle, and obeyed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from napari_medcnn.core.classification import Classification
from napari_medcnn.core.errors import Cancelled
from napari_medcnn.core.events import Event, JobControl, Message, run_to_end
from napari_medcnn.evaluation.calibration import logits_of, probabilities_of
from napari_medcnn.inference.classify import classify
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.io.read import read
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.training.calibrate import FILE
from napari_medcnn.training.export import Exported, export_bundle, finish
from napari_medcnn.training.job import Ending, NetworkChoice, Sampling, TrainJob
from napari_medcnn.training.manifest import Split, TrainCase
from napari_medcnn.training.run import Trained, train
from napari_medcnn.training.run_folder import RunFolder
from tests.training.made_run import make_run, picture_job
from tests.training.tiny_run import RESOURCES

CPU = RunOptions(device="cpu", backend="torch", threads=1)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> TrainJob:
    """Bright and dark pictures whose noise makes some of them look like the others."""
    folder = tmp_path_factory.mktemp("pictures")
    base = picture_job(folder / "plain")
    cases = []
    for number in range(64):
        rng = np.random.default_rng(number)
        kind = ("dark", "bright")[number % 2]
        level = {"dark": 105, "bright": 145}[kind] + rng.normal(0, 22)
        picture = rng.normal(level, 10, (24, 24)).clip(0, 255).astype(np.uint8)
        path = folder / f"{number}.png"
        sitk.WriteImage(sitk.GetImageFromArray(picture), str(path))
        cases.append(TrainCase(str(number), (path,), f"p{number}", None, kind))
    ids = [case.id for case in cases]
    manifest = replace(base.manifest, classes=("bright", "dark"), cases=tuple(cases))
    return replace(
        base,
        manifest=manifest,
        split=Split(tuple(ids[:20]), tuple(ids[20:52]), tuple(ids[52:])),
        network=NetworkChoice("classic_cnn", dimensions=2),
        sampling=Sampling((1, 20, 20), batch=10, steps_per_epoch=8),
        ending=Ending(epochs=8, validate_every=4, metric="accuracy"),
    )


@pytest.fixture(scope="module")
def made(job: TrainJob, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("trained") / "run"
    run_to_end(train(job, folder, resources=RESOURCES), Trained)
    result = run_to_end(finish(folder, resources=RESOURCES, install=False), Exported)
    torch.set_num_threads(threads)
    return result


def about(bundle: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((bundle / "configs" / "metadata.json").read_text())
    return content["medcnn"]


def test_the_bundle_has_the_temperature_and_what_it_was_fitted_on(made: Exported) -> None:
    found = about(made.bundle)["calibration"]
    assert (found["method"], found["part"], found["cases"]) == (
        "temperature scaling",
        "validation",
        32,
    )
    assert found["nll_after"] <= found["nll_before"]
    assert found["temperature"] != 1
    assert read_bundle(made.bundle).temperature == pytest.approx(found["temperature"])
    card = (made.bundle / "docs" / "README.md").read_text()
    assert f"temperature {found['temperature']:.3f}, fitted on 32 validation cases" in card
    assert made.held_out is not None and made.held_out.part == "test"


@pytest.mark.filterwarnings("ignore")  # MONAI's own
def test_monais_own_steps_give_the_same_probabilities(made: Exported, job: TrainJob) -> None:
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(str(made.bundle / "configs" / "inference.json"))
    parser["bundle_root"] = str(made.bundle)
    parser["device"] = "$torch.device('cpu')"
    parser.get_parsed_content("initialize")
    steps = parser.get_parsed_content("preprocessing")
    network = parser.get_parsed_content("network")
    finish_ = parser.get_parsed_content("postprocessing")
    spec = read_bundle(made.bundle)
    plain = replace(spec, temperature=1.0)
    differs = 0.0
    for name in job.split.test[:4]:
        (image,) = job.manifest.case(name).images
        with torch.inference_mode():
            seen = steps({"image": str(image)})["image"]
            seen = seen[None, ..., 0] if seen.ndim == 4 else seen[None]
            theirs = finish_({"pred": network(seen)[0]})["pred"].numpy()
        run = classify(read(image), spec, options=CPU)
        ours = run_to_end(run, Classification).probabilities[0]
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
        raw = run_to_end(classify(read(image), plain, options=CPU), Classification).probabilities
        scaled = probabilities_of(logits_of(raw), spec.temperature)[0]
        np.testing.assert_allclose(ours, scaled, atol=1e-6)
        differs = max(differs, float(np.abs(raw[0] - ours).max()))
    assert differs > 1e-4, "a temperature that changes nothing would not be noticed"


def test_other_weights_have_no_temperature_of_these(
    made: Exported, job: TrainJob, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run", job, seed=3)
    kept = (made.bundle.parent / "evaluation" / FILE).read_text()
    run.evaluation.mkdir(exist_ok=True)
    (run.evaluation / FILE).write_text(kept)
    bundle = export_bundle(run.path, install=False)
    assert "calibration" not in about(bundle)
    assert read_bundle(bundle).temperature == 1


def test_too_few_validation_cases_are_told_and_the_bundle_comes_uncalibrated(
    tmp_path: Path,
) -> None:
    run = make_run(tmp_path / "run", picture_job(tmp_path / "pictures"))
    events: list[Event] = []
    result = run_to_end(
        finish(run.path, resources=RESOURCES, install=False), Exported, events.append
    )
    told = [event.text for event in events if isinstance(event, Message)]
    assert any("not calibrated: 3 validation cases are too few" in text for text in told)
    assert "calibration" not in about(result.bundle)
    assert "nothing was calibrated" in (result.bundle / "docs" / "README.md").read_text()


def test_cancelling_leaves_a_bundle_without_a_temperature(job: TrainJob, tmp_path: Path) -> None:
    run: RunFolder = make_run(tmp_path / "run", job)
    control = JobControl()

    def stop(event: Event) -> None:
        if getattr(event, "stage", "") == "evaluating":
            control.cancel()

    with pytest.raises(Cancelled):
        run_to_end(finish(run.path, control, RESOURCES, install=False), Exported, on_event=stop)
    assert "calibration" not in about(run.bundle)
