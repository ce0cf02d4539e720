from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLineEdit

from napari_medcnn.core.events import run_to_end
from napari_medcnn.gui.pacs_panel import PacsPanel
from napari_medcnn.io.pacs.connection import open_connection
from napari_medcnn.io.pacs.credentials import Credential
from napari_medcnn.io.pacs.profile_store import load_profiles, save_profile
from napari_medcnn.io.pacs.profiles import DimseProfile, WebProfile
from napari_medcnn.io.pacs.upload import Sent
from tests.pacs_server import (
    PASSWORD,
    PATIENT,
    PATIENT_ID,
    USER,
    Orthanc,
    free_port,
    orthanc,
    own_configuration,
    pixels_in,
    write_mr_series,
)

__all__ = ["orthanc", "own_configuration"]


@pytest.fixture
def opened() -> list[Path]:
    """The folders that the panel wants opened."""
    return []


@pytest.fixture
def panel(qtbot, tmp_path: Path, opened: list[Path]) -> PacsPanel:
    panel = PacsPanel(opened.append)
    panel.folder = tmp_path / "retrieved"
    qtbot.addWidget(panel)
    panel.show()
    return panel


def finish(qtbot, panel: PacsPanel) -> None:
    qtbot.waitUntil(lambda: not panel.runner.is_running, timeout=60000)


def texts(panel: PacsPanel) -> str:
    return " ".join(panel.board.texts)


def test_at_first_it_asks_for_a_connection(panel: PacsPanel) -> None:
    assert panel.profile is None
    assert "New" in panel.hint.text()
    assert not panel.search_button.isEnabled()
    assert not panel.retrieve_button.isEnabled()


def test_a_connection_is_entered_changed_and_removed(panel: PacsPanel) -> None:
    panel.profiles.new.click()
    form = panel.profiles.form
    assert form.isVisible()
    form.save.click()
    assert "name" in form.problem.text()
    form.name.setText("clinic")
    form.url.setText("https://pacs.example.org/dicom-web")
    form.login.setCurrentIndex(form.login.findData("password"))
    form.user.setText("reader")
    form.save.click()
    url = "https://pacs.example.org/dicom-web"
    assert load_profiles() == (WebProfile("clinic", url, "password", "reader"),)
    assert not form.isVisible()
    assert panel.profile == load_profiles()[0]
    panel.profiles.edit_chosen()
    form.kind.setCurrentIndex(form.kind.findData("dimse"))
    form.host.setText("10.0.0.5")
    form.called_ae.setText("PACS")
    form.save.click()
    assert load_profiles() == (DimseProfile("clinic", "10.0.0.5", 104, "PACS"),)
    panel.profiles.remove()
    assert load_profiles() == ()


def test_the_form_gives_back_what_it_shows(panel: PacsPanel) -> None:
    from napari_medcnn.io.pacs.profiles import from_json

    for profile in (
        WebProfile("a", "https://x/y", "token", ca_file="/ca.pem", timeout_s=5.0),
        DimseProfile("b", "h", 11112, "A", "B", "move", 4242, True, "/ca", "/c", "/k", 60.0),
    ):
        panel.profiles.form.edit(profile)
        assert from_json(panel.profiles.form.record()) == profile


def test_dates_and_modality_become_a_query(panel: PacsPanel) -> None:
    form = panel.query
    form.dates.setCurrentText("Last 7 days")
    form.modality.setCurrentText("mr")
    form.description.setText(" flair ")
    query = form.query(today=date(2024, 1, 10))
    assert (query.first_date, query.last_date) == (date(2024, 1, 3), date(2024, 1, 10))
    assert (query.modality, query.description) == ("mr", "flair")
    form.dates.setCurrentText("From … to")
    assert form.first.isVisible()
    assert form.query().first_date == date.today()


def test_an_impossible_query_is_told_inline(panel: PacsPanel) -> None:
    save_profile(WebProfile("clinic", "https://x/y"))
    panel.profiles.refresh()
    panel.query.patient_id.setText("a\\b")
    panel.search()
    assert not panel.runner.is_running
    assert "patient id" in texts(panel)


def test_a_server_that_is_not_there_is_told(qtbot, panel: PacsPanel) -> None:
    save_profile(WebProfile("clinic", f"http://127.0.0.1:{free_port()}/dicom-web"))
    panel.profiles.refresh()
    panel.search()
    assert not panel.search_button.isEnabled()
    finish(qtbot, panel)
    assert "nothing answers" in texts(panel)
    assert panel.search_button.isEnabled()


@pytest.mark.slow
def test_log_in_search_retrieve_cancel_and_send(
    qtbot, panel: PacsPanel, orthanc: Orthanc, flair, tmp_path: Path, opened: list[Path]
) -> None:
    first = write_mr_series(flair, tmp_path / "first", "FLAIR")
    second = write_mr_series(flair, tmp_path / "second", "T1")
    connection = open_connection(orthanc.web, Credential(USER, PASSWORD))
    run_to_end(connection.send([first.folder, second.folder]), Sent)
    save_profile(orthanc.web)
    panel.profiles.refresh()

    panel.search()
    finish(qtbot, panel)
    assert panel.secret.isVisible()
    assert panel.secret.line.echoMode() == QLineEdit.EchoMode.Password
    assert not panel.secret.keep.isVisible()  # there is no keyring here
    panel.secret.line.setText("wrong")
    panel.secret.go_on.click()
    finish(qtbot, panel)
    assert "does not let us in" in texts(panel)
    panel.secret.line.setText(PASSWORD)
    panel.secret.go_on.click()
    finish(qtbot, panel)
    assert not panel.secret.isVisible()
    assert len(panel.results.results.matches) == 2

    shown = panel.results
    model = shown.model()
    titles = [model.headerData(c, Qt.Orientation.Horizontal) for c in range(model.columnCount())]
    for title in ("Patient", "Patient ID"):
        assert shown.isColumnHidden(titles.index(title))
    panel.patients.click()
    assert not shown.isColumnHidden(titles.index("Patient"))
    assert model.index(0, titles.index("Patient")).data() == PATIENT
    assert model.index(0, titles.index("Patient ID")).data() == PATIENT_ID

    shown.selectAll()
    assert panel.retrieve_button.text() == "Retrieve 2 series"
    panel.retrieve()
    panel.runner.cancel()
    finish(qtbot, panel)
    assert "cancelled" in texts(panel)
    assert opened == []
    assert not panel.folder.exists() or list(panel.folder.iterdir()) == []
    panel.retrieve()
    finish(qtbot, panel)
    assert opened == [panel.folder]
    for series in (first, second):
        assert pixels_in(panel.folder / series.series_uid) == series.contents

    shown.clearSelection()
    shown.selectRow(0)
    panel.retrieve()
    finish(qtbot, panel)
    assert opened[-1].parent == panel.folder

    panel.send([first.folder])
    finish(qtbot, panel)
    assert f"{first.count} objects sent" in texts(panel)
    panel.test()
    finish(qtbot, panel)
    assert "answers DICOMweb" in texts(panel)
