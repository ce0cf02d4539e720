"""A follow-up from files to files: done, cancelled, failed half way, and once more."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from napari_medcnn.app.case import case_of
from napari_medcnn.app.case_options import CaseOptions
from napari_medcnn.app.followup_case import FollowUpRequest, FollowUpResult, followup_case
from napari_medcnn.core.errors import Cancelled, InputMismatch, MedcnnError, WriteError
from napari_medcnn.core.events import JobControl, Progress, run_to_end
from napari_medcnn.followup.registration_options import RegistrationOptions
from tests.report.made_followups import LABELS, write_studies


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_studies(tmp_path_factory.mktemp("studies"))


def request(files: Path, transform: str = "true.tfm") -> FollowUpRequest:
    return FollowUpRequest(
        labels=(files / LABELS[0], files / LABELS[1]),
        transform=files / transform,
        registration=RegistrationOptions(region="all"),
        days=180,
        accept_registration=True,
    )


def run(files: Path, out: Path, wanted: FollowUpRequest) -> FollowUpResult:
    before, after = (case_of(files / f"{name}.nii.gz") for name in ("before", "after"))
    return run_to_end(followup_case(before, after, out, wanted), FollowUpResult)


def test_files_become_a_change(files: Path, tmp_path: Path) -> None:
    result = run(files, tmp_path, request(files))
    told = json.loads((tmp_path / "change.json").read_text())["counts"]
    counts = {kind: count for kind, count in told.items() if count}
    assert counts == {"new": 1, "resolved": 1, "enlarging": 1, "stable": 1}
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "transform.tfm", "matches.csv", "change.json", "report.html", "report.pdf",
        "baseline_labels.nii.gz", "followup_labels.nii.gz",
    }  # fmt: skip
    assert result.to_json()["after"]["day"] == 180
    assert not any("Doe" in path.read_text(errors="ignore") for path in tmp_path.glob("*.json"))


def test_results_are_not_replaced_by_chance(files: Path, tmp_path: Path) -> None:
    run(files, tmp_path, request(files))
    with pytest.raises(WriteError, match="holds a follow-up already"):
        run(files, tmp_path, request(files))
    options = CaseOptions(overwrite=True)
    run(files, tmp_path, replace(request(files), options=options))


def test_a_registration_that_looks_wrong_is_not_used_unseen(files: Path, tmp_path: Path) -> None:
    careful = replace(request(files, "wrong.tfm"), accept_registration=False)
    with pytest.raises(InputMismatch, match="looks wrong"):
        run(files, tmp_path / "out", careful)
    assert not (tmp_path / "out" / "change.json").exists()


def test_cancel_writes_nothing(files: Path, tmp_path: Path) -> None:
    control = JobControl()
    before, after = (case_of(files / f"{name}.nii.gz") for name in ("before", "after"))
    out = tmp_path / "out"
    with pytest.raises(Cancelled):
        for event in followup_case(before, after, out, request(files), control):
            if isinstance(event, Progress) and event.stage == "comparing lesions":
                control.cancel()
    assert not out.exists() or not list(out.iterdir())


def test_a_failure_half_way_leaves_nothing_that_looks_done(files: Path, tmp_path: Path) -> None:
    swapped = replace(request(files), labels=(files / LABELS[0], files / "not_there.nii.gz"))
    with pytest.raises(MedcnnError, match="not_there"):
        run(files, tmp_path / "out", swapped)
    assert not (tmp_path / "out" / "change.json").exists()
    run(files, tmp_path / "out", request(files))


def test_a_followup_is_not_before_its_baseline(files: Path) -> None:
    with pytest.raises(InputMismatch, match="-3 days"):
        replace(request(files), days=-3)


def test_dicom_objects_of_other_files_are_refused_at_once(files: Path, tmp_path: Path) -> None:
    wanted = replace(request(files), options=CaseOptions(dicom=("sr",)))
    with pytest.raises(WriteError, match="DICOM"):
        run(files, tmp_path / "out", wanted)


def test_a_study_without_labels_needs_a_model() -> None:
    with pytest.raises(InputMismatch, match="needs a model"):
        FollowUpRequest(labels=(Path("a.nii.gz"), None))
