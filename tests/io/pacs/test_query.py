from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.events import Event, JobControl, Message, run_to_end
from napari_medcnn.io.pacs.answers import unquoted
from napari_medcnn.io.pacs.errors import PacsError
from napari_medcnn.io.pacs.query import Found, Match, Query, SeriesKey, series_match, study_match
from napari_medcnn.io.pacs.search import MAX_STUDIES, search
from napari_medcnn.io.pacs.uids import checked_uid


@given(st.text())
def test_a_uid_is_safe_as_a_file_name_or_refused(text: str) -> None:
    try:
        uid = checked_uid(text)
    except PacsError:
        return
    assert set(uid) <= set("0123456789.")
    assert uid.strip(".") == uid
    assert ".." not in uid
    assert len(uid) <= 64


@pytest.mark.parametrize(
    "text", ["", ".", "..", "1..2", "../1.2", "1.2/3.4", "1.2\n", "1.2\0.3", "1", "1.2.", "1" * 70]
)
def test_what_could_leave_the_folder_is_no_uid(text: str) -> None:
    with pytest.raises(PacsError):
        checked_uid(text)


def test_padding_of_a_uid_is_taken_off() -> None:
    assert checked_uid("1.2.840\0") == "1.2.840"


def test_filters_are_written_as_dicom_writes_them() -> None:
    query = Query(
        patient_id=" P1 ", first_date=date(2024, 1, 31), last_date=date(2024, 2, 1), modality="mr"
    )
    assert query.study_filters() == {
        "PatientID": "P1",
        "StudyDate": "20240131-20240201",
        "ModalitiesInStudy": "MR",
    }
    assert query.series_filters() == {"Modality": "MR"}
    assert Query(first_date=date(2024, 1, 31)).study_filters() == {"StudyDate": "20240131-"}
    day = date(2024, 1, 31)
    assert Query(first_date=day, last_date=day).study_filters() == {"StudyDate": "20240131"}


@pytest.mark.parametrize(
    "values",
    [
        {"patient_id": "a\\b"},
        {"description": "x" * 65},
        {"modality": "M\n"},
        {"first_date": date(2024, 2, 1), "last_date": date(2024, 1, 1)},
        {"limit": 0},
        {"level": "image"},
        {"study_uid": "../x"},
    ],
)
def test_an_impossible_query_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(MedcnnError):
        Query(**values)  # type: ignore[arg-type]


def test_a_description_matches_in_part_and_in_any_case() -> None:
    match = Match("1.2", "1.3", description="Ax T2 FLAIR", study_description="Head")
    assert Query(description="flair").describes(match)
    assert Query(description="HEAD").describes(match)
    assert Query(description="ax*flair").describes(match)
    assert not Query(description="T1").describes(match)


def test_the_patient_shows_only_where_asked_for() -> None:
    match = Match("1.2", "1.3", patient_name="Doe^Jane", patient_id="P-4711")
    for text in (repr(match), str(match.to_json()), repr(Query(patient_id="P-4711"))):
        assert "Doe" not in text
        assert "4711" not in text
    assert match.to_json(with_identity=True)["patient_name"] == "Doe^Jane"


def study(uid: str, day: str = "20240131") -> Dataset:
    dataset = Dataset()
    dataset.StudyInstanceUID, dataset.StudyDate = uid, day
    dataset.StudyDescription = "Head\n\x1b[31mred"
    return dataset


def one_series(uid: str) -> Dataset:
    dataset = Dataset()
    dataset.SeriesInstanceUID, dataset.Modality, dataset.SeriesDescription = uid, "MR", "T1"
    return dataset


def test_an_answer_with_an_escaping_uid_is_refused() -> None:
    dataset = Dataset()
    with unquoted():
        dataset.add_new("StudyInstanceUID", "UI", "../../etc")
    with pytest.raises(PacsError, match="UID"):
        study_match(dataset)
    with pytest.raises(PacsError, match="UID"):
        series_match(Dataset(), Match("1.2"))
    with pytest.raises(PacsError, match="UID"):
        SeriesKey("1.2", "..")


def test_control_characters_of_an_answer_reach_no_terminal() -> None:
    assert study_match(study("1.2")).description == "Head [31mred"


def events_of(query: Query, n_studies: int, n_series: int) -> tuple[Found, list[Event]]:
    events: list[Event] = []
    job = search(
        query,
        JobControl(),
        lambda filters, most: [study(f"1.{i}", f"{2000 + i % 20}0101") for i in range(n_studies)],
        lambda uid, filters, most: [one_series(f"{uid}.{i}") for i in range(n_series)],
    )
    return run_to_end(job, Found, events.append), events


def test_every_series_of_every_study_is_found_newest_first() -> None:
    found, _ = events_of(Query(), 3, 2)
    assert len(found.matches) == 6
    assert not found.has_more
    assert [m.study_date[:4] for m in found.matches] == ["2002"] * 2 + ["2001"] * 2 + ["2000"] * 2


def test_more_matches_than_wanted_are_told() -> None:
    found, _ = events_of(Query(limit=3), 3, 2)
    assert len(found.matches) == 3
    assert found.has_more


def test_a_server_that_ignores_the_limit_is_cut_short() -> None:
    found, events = events_of(Query(level="study", limit=5000), MAX_STUDIES + 500, 0)
    assert len(found.matches) == MAX_STUDIES
    assert found.has_more
    assert any(isinstance(event, Message) for event in events)
