"""A run's record says what ran and how long, and imports nothing heavy to do so."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta, timezone
from importlib.metadata import version
from pathlib import Path

import pytest

from napari_medcnn.core.events import Done, Message, Progress
from napari_medcnn.core.segmentation import ModelReference
from napari_medcnn.core.volume import Finding, Severity
from napari_medcnn.report.peak_memory import peak_memory_gb, restart_peak
from napari_medcnn.report.run_record import RunRecord, StageClock

MODEL = ModelReference("flair", "1.0", "cd" * 32, "FLAIR lesions")


def test_the_record_is_complete_json(tmp_path: Path) -> None:
    clock = StageClock()
    with clock.stage("reading"):
        time.sleep(0.02)
    record = RunRecord(
        MODEL,
        "scan.nii.gz",
        {"overlap": 0.25},
        clock.seconds,
        datetime(2026, 3, 1, 14, 0, tzinfo=timezone(timedelta(hours=2))),
        findings=(Finding("gap", Severity.BLOCKING, "A gap."),),
    )
    record.write(tmp_path / "run.json")
    content = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert content["started_utc"] == "2026-03-01T12:00:00+00:00"
    assert content["model"]["weights_sha256"] == "cd" * 32
    assert content["parameters"] == {"overlap": 0.25}
    assert content["seconds"]["total"] == content["seconds"]["reading"] >= 0.02
    assert content["findings"][0]["severity"] == "blocking"
    assert content["software"]["numpy"] == version("numpy")
    assert content["software"]["torch"] == version("torch")
    assert content["peak_memory_gb"] == pytest.approx(peak_memory_gb(), abs=0.05)
    assert "research use only" in content["notice"]


def test_a_start_without_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        RunRecord(MODEL, "x", {}, {}, datetime(2026, 3, 1))


def test_time_between_events_belongs_to_the_stage_of_the_later_one() -> None:
    clock = StageClock()
    clock.start()
    for stage, seconds in (("model", 0.03), ("windows", 0.01), ("model", 0.02)):
        time.sleep(seconds)
        clock.on_event(Message("not a stage"))
        clock.on_event(Progress(stage, 1, 2))
    assert list(clock.seconds) == ["model", "windows"]
    assert clock.seconds["model"] >= 0.05 and clock.seconds["windows"] >= 0.01
    assert clock.started <= datetime.now(UTC)


def test_time_after_the_last_step_belongs_to_the_last_stage() -> None:
    clock = StageClock()
    clock.start()
    clock.on_event(Progress("finishing", 1, 1))
    time.sleep(0.03)
    clock.on_event(Done("result"))
    assert list(clock.seconds) == ["finishing"]
    assert clock.seconds["finishing"] >= 0.03


def test_a_stage_that_fails_is_timed() -> None:
    clock = StageClock()
    with pytest.raises(RuntimeError), clock.stage("writing"):
        raise RuntimeError
    assert "writing" in clock.seconds


def test_versions_are_told_without_importing_the_packages() -> None:
    code = (
        "import sys; from napari_medcnn.report.run_record import software_versions as s;"
        "assert s()['torch']; assert not {'torch', 'monai', 'SimpleITK'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts the peak anew")
def test_the_peak_of_a_run_is_not_that_of_the_one_before() -> None:
    block = bytearray(300_000_000)
    before = peak_memory_gb()
    del block
    assert restart_peak()
    after = peak_memory_gb()
    assert before is not None and after is not None and after < before - 0.2
