"""A batch that is killed at any moment goes on where it was, and no half case counts as done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from napari_medcnn.app.batch_summary import SUMMARY_JSON
from napari_medcnn.app.case_folder import FILES, RUN, UNFINISHED
from tests.app.batch_cases import three_scans
from tests.bundle_factory import make_bundle

_BATCH = """
import os, sys, time
from pathlib import Path
import napari_medcnn.app.case_files as case_files
from napari_medcnn.app.batch import run_batch
from napari_medcnn.app.case import cases_of
from napari_medcnn.app.case_options import CaseOptions
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.models.registry import find_model
model, out, moment, *scans = sys.argv[1:]
real = getattr(case_files, "_write_files"), getattr(case_files, "_record")

# A print from this thread could end up within a line of the events that are printed below.
def stop(which, when):
    def call(*arguments):
        if when == "before" and (Path(out) / "a" / "run.json").exists():
            os.write(1, b"now\\n"); time.sleep(600)
        result = real[which](*arguments)
        if when == "after" and (Path(out) / "b" / "run.json").exists():
            os.write(1, b"now\\n"); time.sleep(600)
        return result
    return call

if moment == "before-files": case_files._write_files = stop(0, "before")
if moment == "before-record": case_files._record = stop(1, "before")
if moment == "after-record": case_files._record = stop(1, "after")
options = CaseOptions(RunOptions(device="cpu", threads=1))
cases = cases_of([Path(scan) for scan in scans])
for event in run_batch(cases, find_model(Path(model)), out, None, options):
    print(type(event).__name__, getattr(event, "case", ""), getattr(event, "state", ""), flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
@pytest.mark.parametrize(
    ("moment", "second"),
    [
        ("computing", "done"),
        ("before-files", "done"),
        ("before-record", "done"),
        ("after-record", "skipped"),
    ],
)
@pytest.mark.slow
def test_a_killed_batch_goes_on_where_it_was(tmp_path: Path, moment: str, second: str) -> None:
    bundle = make_bundle(tmp_path / "model")
    scans, out = three_scans(tmp_path / "in"), tmp_path / "out"
    arguments = [sys.executable, "-c", _BATCH, str(bundle), str(out)]
    wait_for = "CaseUpdate a done" if moment == "computing" else "now"
    with subprocess.Popen(
        [*arguments, moment, *map(str, scans)],
        stdout=subprocess.PIPE,
        text=True,
        env=_environment(),
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == wait_for:
                break
        os.kill(process.pid, signal.SIGKILL)
    # In the first seconds no summary is due; a killed batch never leaves a broken one.
    assert (out / "a" / RUN).is_file()
    if moment in ("before-files", "before-record"):
        assert (out / "b" / UNFINISHED).is_file() and not (out / "b" / RUN).exists()
    litter = out / "b" / (".labels-" + "0" * 32 + ".nii.gz")
    litter.parent.mkdir(exist_ok=True)
    litter.write_bytes(b"half of a file")

    started = time.monotonic()
    subprocess.run(
        [*arguments, "none", *map(str, scans)],
        check=True,
        stdout=subprocess.DEVNULL,
        env=_environment(),
    )
    assert time.monotonic() - started < 120
    summary = json.loads((out / SUMMARY_JSON).read_text())
    states = {case["case"]: case["state"] for case in summary["cases"]}
    assert states == {"a": "skipped", "b": second, "c": "done"}
    assert [case["lesion_count"] for case in summary["cases"]] == [1, 2, 3]
    for name in "abc":
        there = {path.name for path in (out / name).iterdir()}
        assert there - {litter.name, UNFINISHED} == set(FILES)
    assert second == "skipped" or not litter.exists()


def _environment() -> dict[str, str]:
    repository = Path(__file__).resolve().parents[2]
    paths = [str(repository), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
