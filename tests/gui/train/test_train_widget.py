"""The dock Train: data, split, proposal and options, before anything runs."""

from __future__ import annotations

import numpy as np
import pytest

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.events import Failed, Metric
from napari_medcnn.core.volume import Severity
from napari_medcnn.training.manifest import write_manifest
from tests.gui.train.docks import ready, settle, small, texts
from tests.training.tiny_run import tiny_job


def test_an_empty_dock_says_what_to_do_and_cannot_train(widget):
    assert widget.data.hint.isVisibleTo(widget) and widget.model.hint.isVisibleTo(widget)
    assert not widget.foot.start.isEnabled() and widget.foot.resume.isEnabled()
    assert not widget.sections[3].isVisibleTo(widget)


def test_data_lead_to_a_split_and_a_proposal_that_can_be_changed_and_reset(widget, qtbot, tmp_path):
    ready(widget, qtbot, tmp_path)
    assert widget.data.cases.rowCount() == 6
    assert {widget.data.cases.index(n, 2).data() for n in range(6)} == {
        "learns", "chooses", "judges"}  # fmt: skip
    assert widget.foot.start.isEnabled()
    job = widget.model.job()
    assert job is not None and job.ending.minutes == 20
    assert "patch" in widget.model.why.text().lower()
    form = widget.model.form
    form.fields["sampling.batch"].setValue(7)
    assert widget.model.job().sampling.batch == 7
    assert form.edited == {"sampling.batch"}
    widget.model.reset.click()
    settle(qtbot, widget)
    assert widget.model.job().sampling == job.sampling
    form.fields["sampling.patch"].setText("8 x")
    form.fields["sampling.patch"].editingFinished.emit()
    assert "3 numbers" in widget.model.problems.text() and not widget.foot.start.isEnabled()


def test_advanced_fields_change_the_job_and_say_what_is_wrong(widget, qtbot, tmp_path):
    ready(widget, qtbot, tmp_path)
    form = widget.model.form
    assert not form.advanced.is_open
    before = widget.model.job()
    form.fields["sampling.accumulate"].setValue(4)
    written = {
        "optimisation.class_weights": "0 1 2.5",
        "optimisation.weight_decay": "0",
        "optimisation.clip_norm": "",
        "optimisation.ema_decay": "0.99",
    }
    for where, text in written.items():
        form.fields[where].setText(text)
        form.fields[where].editingFinished.emit()
    job = widget.model.job()
    how = job.optimisation
    assert job.sampling.accumulate == 4 and widget.model.is_sound
    assert (how.class_weights, how.weight_decay) == ((0, 1, 2.5), 0)
    assert (how.clip_norm, how.ema_decay) == (None, 0.99)
    assert "background, shell, core" in form.fields["optimisation.class_weights"].toolTip()
    form.fields["optimisation.class_weights"].setText("1 2")
    form.fields["optimisation.class_weights"].editingFinished.emit()
    assert "3 are needed" in widget.model.problems.text() and not widget.foot.start.isEnabled()
    widget.model.reset.click()
    settle(qtbot, widget)
    assert widget.model.job() == before


def test_an_encoder_of_a_model_can_learn_more_slowly_or_not_at_all(widget, qtbot, tmp_path):
    ready(widget, qtbot, tmp_path)
    start = widget.model.start_from
    assert not start.encoder_rate.isVisibleTo(widget) and not start.freeze.isVisibleTo(widget)
    rate = widget.model.job().optimisation.rate
    assert not start.keeps.isVisibleTo(widget)
    start.model.setCurrentIndex(1)
    assert start.encoder_rate.isVisibleTo(widget) and start.keeps.isVisibleTo(widget)
    start.encoder_rate.setValue(10)
    network = widget.model.job().network
    assert network.start_from is not None and network.encoder_rate == 0.1
    start.freeze.click()
    assert not start.encoder_rate.isVisibleTo(widget)
    assert widget.model.job().network.freeze_encoder
    form = widget.model.form
    form.fields["optimisation.rate"].setText(f"{3 * rate:g}")
    form.fields["optimisation.rate"].editingFinished.emit()
    assert widget.model.job().optimisation.rate == pytest.approx(3 * rate)
    widget.model.reset.click()
    settle(qtbot, widget)
    assert widget.model.job().network.start_from is None and not start.is_model


def test_figures_of_the_moment_keep_their_units_in_one_line(widget, tmp_path):
    widget.run.begin(tmp_path, resumed=False)
    widget.run.add(Metric("gpu_memory_gb", 3.21, 10))
    widget.run.add(Metric("patches_per_second", 12.34, 10))
    widget.run._show_figures()
    widget.run.end()
    shown = widget.run.figures.text().split(" ")
    assert shown[-2:] == ["3.2\N{NBSP}GB\N{NBSP}of\N{NBSP}GPU\N{NBSP}memory,",
                          "12.3\N{NBSP}patches\N{NBSP}a\N{NBSP}second"]  # fmt: skip
    assert not widget.run.curves.points


def test_another_seed_draws_another_split_and_folds_are_offered(widget, qtbot, tmp_path):
    ready(widget, qtbot, tmp_path)
    widget.data.splitting.test.setValue(0)
    widget.data.splitting.folds.setValue(3)
    first = widget.data.split
    widget.data.splitting.fold.setValue(2)
    second = widget.data.split
    assert first.folds == 3 and not set(first.validation) & set(second.validation)
    settle(qtbot, widget)
    assert widget.model.job().split == second


def test_a_leak_in_the_data_is_an_error_and_stops_everything(widget, qtbot, tmp_path):
    from dataclasses import replace

    job = tiny_job(tmp_path / "data")
    parts = ("train", "train", "validation", "validation", "test", "test")
    cases = tuple(
        replace(case, patient="the same", part=part)
        for case, part in zip(job.manifest.cases, parts, strict=True)
    )
    write_manifest(replace(job.manifest, cases=cases), tmp_path / "data" / "leak.json")
    widget.data.open(tmp_path / "data" / "leak.json")
    settle(qtbot, widget)
    assert "Problem:" in widget.data.notes.text() and "share patients" in widget.data.notes.text()
    assert widget.data.split is None and not widget.foot.start.isEnabled()


def test_a_patient_that_is_written_keeps_cases_together(widget, qtbot, tmp_path):
    ready(widget, qtbot, tmp_path)
    for row in range(2):
        widget.data.cases.setData(widget.data.cases.index(row, 1), "one person")
        settle(qtbot, widget)
    groups = widget.data.split.groups
    assert [groups[f"case_{n}"] for n in range(2)] == ["patient one person"] * 2


def test_check_shows_every_problem_with_its_case(widget, qtbot, tmp_path):
    job = ready(widget, qtbot, tmp_path)
    broken = job.manifest.cases[3]
    broken.images[0].write_bytes(b"no image")
    job.manifest.cases[4].label.unlink()
    widget.data.check.click()
    settle(qtbot, widget)
    table = widget.data.cases
    worst = {table.index(n, 0).data(): table.index(n, 3).data() for n in range(2)}
    assert set(worst) == {"case_3", "case_4"}
    assert any("2 cases" in text for text in texts(widget, Severity.BLOCKING))
    assert table.index(5, 3).data() == "none"


def test_a_double_click_opens_a_case_with_its_truth(widget, qtbot, tmp_path):
    ready(widget, qtbot, tmp_path)
    widget.data.table.doubleClicked.emit(widget.data.cases.index(2, 0))
    settle(qtbot, widget)
    name = widget.data.cases.index(2, 0).data()
    assert [layer.name for layer in widget.state.viewer.layers][-1] == f"{name}: truth"
    assert set(np.unique(widget.state.viewer.layers[-1].data)) == {0, 1, 2}


def test_what_is_no_data_set_is_told(widget, qtbot, tmp_path):
    (tmp_path / "empty").mkdir()
    widget.data.open(tmp_path / "empty")
    settle(qtbot, widget)
    assert texts(widget, Severity.BLOCKING)[0].startswith("The data set cannot be used")
    assert widget.data.hint.isVisibleTo(widget)


def test_a_case_of_the_viewer_starts_a_data_set(widget, qtbot, flair, tmp_path):
    widget.state.add_volumes([flair])
    drawn = np.zeros(flair.geometry.shape, np.uint8)
    drawn[8:12, 10:16, 12:16] = 1
    image = widget.state.viewer.layers[0]
    widget.state.viewer.add_labels(
        drawn, name="drawn", scale=image.scale, translate=image.translate
    )
    adding = widget.data.adding
    adding.file = tmp_path / "mine" / "medcnn_dataset.json"
    adding.classes.setText("lesion")
    adding.patient.setText("p1")
    adding.add.click()
    settle(qtbot, widget)
    assert not texts(widget, Severity.BLOCKING)
    (case,) = widget.data.data.manifest.cases
    assert (case.id, case.patient) == ("FLAIR", "p1")
    assert widget.data.data.manifest.classes == ("lesion",)
    assert "Problem:" in widget.data.notes.text()  # one patient cannot be split


def test_augmented_patches_are_shown_as_layers_once(widget, qtbot, tmp_path):
    job = ready(widget, qtbot, tmp_path)
    small(job, widget)
    for _ in range(2):
        widget.model.preview.click()
        settle(qtbot, widget)
    names = [layer.name for layer in widget.state.viewer.layers]
    assert names == ["Augmented patches", "Augmented labels"]
    gap = 1
    assert widget.state.viewer.layers[0].data.shape == (8, 3 * 8 + 2 * gap, 3 * 8 + 2 * gap)


def test_errors_of_a_panel_are_sentences():
    with pytest.raises(MedcnnError, match="above 0"):
        from napari_medcnn.gui.train_fields import NumbersField

        field = NumbersField("Patch", 3, int)
        field.setText("1 2 -3")
        _ = field.value
    assert Failed("x", "y").cancelled is False
