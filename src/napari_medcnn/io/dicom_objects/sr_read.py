"""Measurement reports (TID 1500) read back: each lesion's tracking identifiers and figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from napari_medcnn.core.errors import ReadError
from napari_medcnn.io.dicom_objects.dataset import damage_told, read_object
from napari_medcnn.io.dicom_objects.sr_write import VERDICT

_REPORTS = ("1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.88.34")
"""Comprehensive SR, and the one with places in 3D."""


@dataclass(frozen=True)
class ReportedFigure:
    """One figure: `unit` is a UCUM code, `derivation` e.g. ``"Mean"``; `error` is a half-width."""

    name: str
    value: float
    unit: str
    derivation: str = ""
    error: float | None = None


@dataclass(frozen=True)
class ReportedLesion:
    """One measurement group.

    Parameters
    ----------
    tracking_uid, tracking_id : str
        By these a lesion is known in other reports and in segmentations.
    finding : str
        What it is, e.g. ``"Lesion"``.
    figures : tuple of ReportedFigure
        What was measured.
    not_measured : tuple of str
        Names of figures that are told to be missing.
    verdict : str
        ``"accepted"``, ``"rejected"``, or empty where no reader of ours decided.
    """

    tracking_uid: str
    tracking_id: str
    finding: str = ""
    figures: tuple[ReportedFigure, ...] = ()
    not_measured: tuple[str, ...] = ()
    verdict: str = ""

    def to_json(self) -> dict[str, Any]:
        """The record as a JSON-able dict."""
        return asdict(self)


def is_report(path: Path) -> bool:
    """Whether a file is a structured report that may hold measurements. Never raises."""
    import pydicom

    try:
        with damage_told(path):
            meta = pydicom.filereader.read_file_meta_info(path)
            return str(meta.get("MediaStorageSOPClassUID")) in _REPORTS
    except ReadError:
        return False


def read_report(path: Path) -> tuple[ReportedLesion, ...]:
    """The lesions of a measurement report, in its order.

    Raises
    ------
    ReadError
        When it is no measurement report, or damaged.
    """
    import highdicom as hd

    dataset = read_object(path)
    with damage_told(path):
        if str(dataset.get("SOPClassUID")) not in _REPORTS:
            raise ReadError("is no measurement report", source=path)
        three_d = dataset.SOPClassUID == _REPORTS[1]
        kind = hd.sr.Comprehensive3DSR if three_d else hd.sr.ComprehensiveSR
        content = kind.from_dataset(dataset, copy=False).content
        if not isinstance(content, hd.sr.MeasurementReport):
            raise ReadError("is a report of another kind than TID 1500", source=path)
        return tuple(
            _lesion(group)
            for group in (
                *content.get_volumetric_roi_measurement_groups(),
                *content.get_planar_roi_measurement_groups(),
            )
        )


def _lesion(group: Any) -> ReportedLesion:
    from pydicom.sr.codedict import codes

    missing, verdict = [], ""
    for told in group.get_qualitative_evaluations():
        if (told.name.value, told.name.scheme_designator) == VERDICT[:2]:
            verdict = str(told.value.value).lower()
        elif told.value == codes.cid42.MeasurementNotAttempted:
            missing.append(str(told.name.meaning))
    finding = group.finding_type
    return ReportedLesion(
        tracking_uid=str(group.tracking_uid or ""),
        tracking_id=str(group.tracking_identifier or ""),
        finding="" if finding is None else str(finding.meaning),
        figures=tuple(_figure(measurement) for measurement in group.get_measurements()),
        not_measured=tuple(missing),
        verdict=verdict,
    )


def _figure(measurement: Any) -> ReportedFigure:
    from pydicom.sr.codedict import codes

    upper = codes.SCT.RangeOfUpperMeasurementUncertainty
    errors = [
        float(item.value)
        for item in measurement[0].get("ContentSequence") or []
        if item.name == upper
    ]
    derivation = measurement.derivation
    return ReportedFigure(
        name=str(measurement.name.meaning),
        value=float(measurement.value),
        unit=str(measurement.unit.value),
        derivation="" if derivation is None else str(derivation.meaning),
        error=errors[0] if errors else None,
    )
