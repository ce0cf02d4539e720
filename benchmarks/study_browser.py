"""The study browser on 20,000 files: indexing rate, stalls of the event loop, opening it again.

xvfb-run -a python -m benchmarks.study_browser

Files are of one 32x32 slice each, so that headers and not pixels are what is read: 40 patients with
2 studies of 5 series of 50 slices. Each measurement is a process of its own; the stall of an event
loop is how much later than asked a timer of 5 ms fires while the dock is shown.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

PATIENTS, STUDIES, SERIES, SLICES = 40, 2, 5, 50
TICK_MS = 5
HEAVY = ("torch", "monai")
SETTLED_S = 2.0
IDLE_S = 5.0


def main() -> None:
    """Make the files, index them in one process and open them again in another."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, help="measure on this folder in this process")
    asked = parser.parse_args()
    if asked.folder is not None:
        print(json.dumps(_measured(asked.folder)))
        return
    with tempfile.TemporaryDirectory() as place:
        started = time.perf_counter()
        folder = Path(place) / "studies"
        make_files(folder)
        print(f"{PATIENTS * STUDIES * SERIES * SLICES} files made "
              f"in {time.perf_counter() - started:.1f} s")  # fmt: skip
        environment = {**os.environ, "XDG_CACHE_HOME": place, "XDG_STATE_HOME": place,
                       "NAPARI_CONFIG": f"{place}/napari.yaml"}  # fmt: skip
        for title in ("first opening", "second opening"):
            command = [sys.executable, "-m", "benchmarks.study_browser", "--folder", str(folder)]
            done = subprocess.run(
                command, check=True, stdout=subprocess.PIPE, text=True, env=environment
            )
            print(f"\n{title}")
            for name, value in json.loads(done.stdout.splitlines()[-1]).items():
                print(f"  {name:42} {value}")


def make_files(folder: Path) -> None:
    """Write the tree: one file made by pydicom, the others from its bytes."""
    template = _template()
    for patient in range(PATIENTS):
        for study in range(STUDIES):
            for series in range(SERIES):
                below = folder / f"patient{patient:02}" / f"study{study}" / f"series{series}"
                below.mkdir(parents=True)
                for number in range(SLICES):
                    content = template
                    # Of equal lengths, so that nothing else in the file changes.
                    for mark, value in (("7777", patient), ("8888", study), ("9999", series),
                                        ("5555", number)):  # fmt: skip
                        content = content.replace(mark.encode(), f"{1000 + value}".encode())
                    (below / f"IM{number:04}").write_bytes(content)


def _template() -> bytes:
    import io

    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    dataset.SOPInstanceUID = "1.2.3.7777.8888.9999.5555"
    values = {
        "ImageType": ["ORIGINAL", "PRIMARY", "M"], "StudyDate": "20210304", "Modality": "MR",
        "StudyTime": "101500", "Manufacturer": "Nobody", "InstitutionName": "Nowhere",
        "StudyDescription": "Brain", "SeriesDescription": "T1 axial 9999",
        "PatientName": "Doe^7777", "PatientID": "7777", "PatientBirthDate": "19600615",
        "PatientSex": "F", "BodyPartExamined": "BRAIN", "SliceThickness": 2,
        "RepetitionTime": 2000, "EchoTime": 30, "ProtocolName": "T1",
        "StudyInstanceUID": "1.2.3.7777.8888", "SeriesInstanceUID": "1.2.3.7777.8888.9999",
        "SeriesNumber": 9999, "InstanceNumber": 5555, "ImagePositionPatient": [0, 0, 5555],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "Rows": 32, "Columns": 32,
        "PixelSpacing": [1, 1], "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15,
        "PixelRepresentation": 0, "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
    }  # fmt: skip
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    pixels = np.random.default_rng(0).integers(0, 0x30, (32, 32))
    dataset.PixelData = pixels.astype(np.uint16).tobytes()
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _measured(folder: Path) -> dict[str, object]:
    import napari
    from qtpy.QtCore import QTimer
    from qtpy.QtWidgets import QApplication

    viewer = napari.Viewer(show=False, show_welcome_screen=False)
    viewer.window._qt_window.resize(1400, 900)
    viewer.window._qt_window.show()
    QApplication.processEvents()
    started = time.perf_counter()
    _, browser = viewer.window.add_plugin_dock_widget("napari-medcnn", "Study browser")
    QApplication.processEvents()
    dock_s = time.perf_counter() - started
    panel = browser.studies
    stamps: list[float] = []
    ticks = QTimer()
    ticks.setInterval(TICK_MS)
    ticks.timeout.connect(lambda: stamps.append(time.perf_counter()))

    def run_until(condition: object, at_most_s: float = 600) -> float:
        deadline = time.perf_counter() + at_most_s
        while not condition() and time.perf_counter() < deadline:  # type: ignore[operator]
            QApplication.processEvents()
            time.sleep(0.0005)
        return time.perf_counter() - started

    # A window's first paints, and libraries that come with its menus, are not what is measured.
    settled = time.perf_counter() + SETTLED_S
    run_until(lambda: time.perf_counter() > settled)
    ticks.start()
    idle = time.perf_counter() + IDLE_S
    run_until(lambda: time.perf_counter() > idle)
    ticks.stop()
    at_rest = _stalls_ms(stamps)
    stamps.clear()
    reports: list[object] = []
    panel.indexing.done.connect(reports.append)
    ticks.start()
    started = time.perf_counter()
    browser.browse(folder)
    shown_s = run_until(lambda: panel.model.rowCount() > 0)
    if panel.indexing.is_running:
        panel.form.tree.expandRecursively(panel.model.index(0, 0), 1)  # thumbnails while indexing
    finished_s = run_until(lambda: not panel.indexing.is_running)
    ticks.stop()
    (report,) = reports
    stalls = _stalls_ms(stamps)
    heavy = ", ".join(name for name in HEAVY if name in sys.modules) or "neither"
    figures = {
        "dock opened (s)": round(dock_s, 2),
        "first rows shown after (s)": round(shown_s, 2),
        "index up to date after (s)": round(finished_s, 2),
        "files": report.files,
        "of which read": report.read,
        "files a second": round(report.files / finished_s),
        "series": panel._reader.summary().series,
        "stall of the event loop, p99 (ms)": round(float(np.percentile(stalls, 99)), 1),
        "the same before, at rest, p99 (ms)": round(float(np.percentile(at_rest, 99)), 1),
        "stall, p99.9 (ms)": round(float(np.percentile(stalls, 99.9)), 1),
        "longest stall (ms)": round(float(stalls.max()), 1),
        "torch or monai imported": heavy,
    }
    panel.lookup.close()
    run_until(lambda: not panel.lookup.runner.is_running, 10)
    viewer.close()
    return figures


def _stalls_ms(stamps: list[float]) -> np.ndarray:
    """How much later than asked each tick came, in ms."""
    return np.maximum(np.diff(stamps) * 1000 - TICK_MS, 0)


if __name__ == "__main__":
    main()
