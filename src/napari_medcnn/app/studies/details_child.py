"""The process that makes thumbnails and looks for findings: decoders are where crashes are.

It runs as ``python -m napari_medcnn.app.studies.details_child INDEX FOLDER`` and answers requests:
``{"series": 3}`` once the details of that series are in the index, ``{"patient": 2}`` with who that
is, which is written nowhere.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from dataclasses import asdict
from pathlib import Path

from napari_medcnn.app.studies.child_side import Parent, set_up, tell
from napari_medcnn.app.studies.dicom_header import read_identity
from napari_medcnn.app.studies.index_file import open_index
from napari_medcnn.app.studies.index_reader import IndexReader, SeriesDetails, SeriesRow
from napari_medcnn.app.studies.index_writer import keep_details
from napari_medcnn.app.studies.patient_key import Identity
from napari_medcnn.app.studies.thumbnail import dicom_thumbnail, volume_thumbnail
from napari_medcnn.core.volume import Finding, Severity
from napari_medcnn.io.dicom.listing import findings_of

_ABOUT_IMAGES = ("SEG", "RTSTRUCT", "RTPLAN", "SR", "PR", "KO", "REG")


def main() -> int:
    """Answer until the parent has gone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("index", type=Path)
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    set_up()
    warnings.simplefilter("ignore")  # pydicom warns of every irregular value
    database = open_index(asked.index, asked.folder)
    reader = IndexReader(database)
    for request in Parent().requests():
        if "series" in request:
            series = reader.one_series(request["series"])
            if series is not None:
                keep_details(database, series, _details(reader, series, asked.folder))
            tell(request)
        elif "patient" in request:
            tell({**request, "identity": asdict(_identity(reader, request, asked.folder))})
    return 0


def _details(reader: IndexReader, series: SeriesRow, folder: Path) -> SeriesDetails:
    return SeriesDetails(_picture(reader, series, folder), _findings(reader, series, folder))


def _findings(reader: IndexReader, series: SeriesRow, folder: Path) -> tuple[Finding, ...]:
    # Objects about images, such as segmentations, load in other ways than a stack of slices.
    if series.kind != "dicom" or not series.rows or series.modality in _ABOUT_IMAGES:
        return ()
    try:
        return findings_of(folder / path for path in reader.files(series.id))
    except Exception as error:  # noqa: BLE001 - what its files do must not cost the others
        text = f"Its headers cannot be read ({type(error).__name__})"
        return (Finding("series-unreadable", Severity.BLOCKING, text),)


def _picture(reader: IndexReader, series: SeriesRow, folder: Path) -> bytes | None:
    path = reader.middle_file(series.id)
    if path is None:
        return None
    try:
        make = dicom_thumbnail if series.kind == "dicom" else volume_thumbnail
        return make(folder / path)
    except Exception:  # noqa: BLE001 - a series without a picture is still a series
        return None


def _identity(reader: IndexReader, request: dict[str, int], folder: Path) -> Identity:
    path = reader.a_file_of(request["patient"])
    try:
        return Identity() if path is None else read_identity(folder / path)
    except Exception:  # noqa: BLE001 - whatever a file does, the next one is read
        return Identity()


if __name__ == "__main__":
    sys.exit(main())
