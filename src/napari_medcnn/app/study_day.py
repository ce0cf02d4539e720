"""On which day a study was acquired, as far as its files tell."""

from __future__ import annotations

from datetime import datetime

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.volume import Volume

_KEYWORDS = ("AcquisitionDate", "StudyDate", "SeriesDate")
"""The first that there is; anonymised files often keep one of them only."""


def study_day(volume: Volume) -> float | None:
    """Days since the year 1 of a volume's acquisition; None where its files do not tell.

    Parameters
    ----------
    volume : Volume
        Of DICOM files that are still there; those of other formats have no date.
    """
    from napari_medcnn.io.dicom_objects.source import source_images, why_no_dicom

    if why_no_dicom(volume):
        return None
    try:
        first = source_images(volume).first
    except MedcnnError:
        return None
    for keyword in _KEYWORDS:
        text = str(first.get(keyword) or "")
        try:
            return float(datetime.strptime(text, "%Y%m%d").toordinal())
        except ValueError:
            continue
    return None
