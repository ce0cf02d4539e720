"""Scores of a second stage come back with their session, and bad records of them are refused."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_medcnn.app.result import Result, scored_anew
from napari_medcnn.app.session import Session
from napari_medcnn.app.session_file import load_session, save_session
from napari_medcnn.core.classification import Classification, Item
from napari_medcnn.core.errors import ReadError
from napari_medcnn.core.scored import EDITED, NOT_CALIBRATED
from napari_medcnn.core.segmentation import ModelReference


def classification(result: Result) -> Classification:
    """Two thirds and no float32 that a short text can hold, of two lesions, one without a place."""
    first, second = result.table.lesions
    return Classification(
        unit="lesion",
        classes=("no lesion", "true"),
        items=(Item(first.id, first.centroid_lps_mm), Item(second.id, None)),
        probabilities=np.array([[1 / 3, 2 / 3], [0.9, 0.1]], np.float32),
        model=ModelReference("second_stage", "1.0", "cd" * 32, "Second stage"),
        volume_id=result.volume_id,
        geometry=result.segmentation.geometry,
        axis=2,
        parameters={"patch_zyx": [1, 9, 9]},
    )


@pytest.fixture
def scored(session: Session, result: Result) -> Result:
    found = scored_anew(result, classification(result), result.revision)
    session.score(result.id, replace(found, threshold=0.4, hide_below=True))
    return result


def test_scores_come_back_with_class_operating_point_and_classifier(
    session: Session, scored: Result, tmp_path: Path
) -> None:
    save_session(session, tmp_path / "case.medcnn")
    before, after = scored.scored, load_session(tmp_path / "case.medcnn").results[scored.id].scored
    assert before is not None and after is not None
    assert (after.class_name, after.threshold, after.hide_below) == ("true", 0.4, True)
    assert after.scores == before.scores
    assert after.passed == before.passed == {1}
    one, other = before.classification, after.classification
    np.testing.assert_array_equal(other.probabilities, one.probabilities)
    assert other.probabilities.dtype == np.float32
    assert (other.items, other.model, other.axis) == (one.items, one.model, 2)
    assert (other.volume_id, other.geometry) == (one.volume_id, one.geometry)
    assert (other.calibrated, other.multi_label) == (False, False)
    assert other.parameters == {"patch_zyx": [1, 9, 9]}


def test_a_scored_lesion_that_was_edited_is_known_as_such_after_reopening(
    session: Session, scored: Result, tmp_path: Path
) -> None:
    assert scored.scored is not None
    assert scored.scored.doubt(scored.revision) == NOT_CALIBRATED
    session.touch(scored.id)
    save_session(session, tmp_path / "case.medcnn")
    loaded = load_session(tmp_path / "case.medcnn").results[scored.id]
    assert loaded.scored is not None
    assert loaded.scored.doubt(loaded.revision) == EDITED


def test_moving_the_operating_point_is_a_change_to_save(
    session: Session, scored: Result, tmp_path: Path
) -> None:
    heard: list[str] = []
    session.result_scored.connect(heard.append)
    save_session(session, tmp_path / "case.medcnn")
    assert not session.is_dirty and scored.scored is not None
    session.score(scored.id, replace(scored.scored, threshold=0.7))
    assert session.is_dirty
    assert heard == [scored.id]


def test_a_session_of_before_there_were_scores_is_read(
    session: Session, result: Result, tmp_path: Path
) -> None:
    path = rewritten(session, tmp_path, lambda record: record.pop("scores"))
    assert load_session(path).results[result.id].scored is None


def test_no_classified_lesion_is_a_classification_too(
    session: Session, result: Result, tmp_path: Path
) -> None:
    whole = classification(result)
    none = replace(whole, items=(), probabilities=whole.probabilities[:0])
    session.score(result.id, scored_anew(result, none, 0))
    save_session(session, tmp_path / "case.medcnn")
    loaded = load_session(tmp_path / "case.medcnn").results[result.id].scored
    assert loaded is not None
    assert loaded.classification.probabilities.shape == (0, 2)


@pytest.mark.parametrize(
    "change",
    [
        {"class_name": "other"},
        {"threshold": 1.5},
        {"lesions": [1]},
        {"probabilities": [[0.5], [0.5]]},
        {"probabilities": "many"},
    ],
)
def test_scores_that_make_no_sense_are_refused(
    session: Session, scored: Result, tmp_path: Path, change: dict[str, object]
) -> None:
    path = rewritten(session, tmp_path, lambda record: record["scores"].update(change))
    with pytest.raises(ReadError, match="manifest is wrong at results"):
        load_session(path)


def rewritten(session: Session, folder: Path, change) -> Path:
    """A session file whose record of the result is another one."""
    save_session(session, folder / "case.medcnn")
    target = folder / "changed.medcnn"
    with zipfile.ZipFile(folder / "case.medcnn") as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "manifest.json":
                manifest = json.loads(content)
                change(manifest["results"][0])
                content = json.dumps(manifest).encode()
            new.writestr(name, content)
    return target
