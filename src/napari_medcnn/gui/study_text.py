"""Patients, studies and series in words; no name, unless it is handed in."""

from __future__ import annotations

from pathlib import Path

from napari_medcnn.app.studies.image_header import OLDEST_AGE
from napari_medcnn.app.studies.index_reader import IndexSummary, PatientRow, SeriesRow, StudyRow
from napari_medcnn.app.studies.patient_key import Identity
from napari_medcnn.core.volume import Finding, Severity
from napari_medcnn.gui.notices import severity_word

_OTHER_KINDS = {"nifti": "NIfTI", "nrrd": "NRRD", "metaimage": "MetaImage"}


def folder_text(folder: Path) -> str:
    """Its path, from ``~`` on where it lies in the user's home."""
    home = Path.home()
    return str("~" / folder.relative_to(home)) if folder.is_relative_to(home) else str(folder)


def patient_text(patient: PatientRow, identity: Identity | None) -> str:
    """E.g. ``Patient 3 (62 y, F)``; with an identity ``Doe, Jane · ID 17 (62 y, F)``."""
    if not patient.key:
        return "Files without patient"
    age = "" if patient.age is None else _age(patient.age)
    about = ", ".join(part for part in (age, patient.sex) if part)
    name = f"Patient {patient.id}" if identity is None else identity.label
    return f"{name} ({about})" if about else name


def patient_studies(patient: PatientRow) -> str:
    """How many studies, where there are several."""
    if patient.studies < 2:
        return ""
    return counted(patient.studies, "study") if patient.key else f"{patient.studies:,} folders"


def study_text(study: StudyRow) -> str:
    """E.g. ``2021-03-04 · Brain MRI``; a folder for files that belong to no study."""
    return " · ".join(part for part in (date_text(study.date), study.description) if part) or (
        "Study without date"
    )


def date_text(date: str) -> str:
    """``YYYYMMDD`` with hyphens."""
    return f"{date[:4]}-{date[4:6]}-{date[6:]}" if date else ""


def series_title(series: SeriesRow) -> str:
    """E.g. ``4 · T1 MPRAGE``."""
    title = series.description or series.body_part.title() or "Series without description"
    return title if series.number is None else f"{series.number} · {title}"


def series_content(series: SeriesRow) -> str:
    """E.g. ``MR · 176 images · 256×256×176``, without blanks to fit a narrow dock."""
    parts = [series.modality or _OTHER_KINDS.get(series.kind, "modality unknown")]
    if series.kind == "dicom":
        parts.append(counted(series.images, "image" if series.rows else "object"))
    elif series.images > 1:
        parts.append(counted(series.images, "frame"))
    if series.rows:
        size = f"{series.columns}×{series.rows}"
        parts.append(f"{size}×{series.slices}" if series.slices > 1 else size)
    return " · ".join(parts)


def spacing_text(series: SeriesRow) -> str:
    """Spacing as x × y × z in mm, to three digits; empty where unknown."""
    z, y, x = series.spacing
    if not series.rows or x is None or y is None:
        return ""
    with_depth = series.slices > 1 and z is not None
    return f"{x:.3g} × {y:.3g}" + (f" × {z:.3g} mm" if with_depth else " mm")


def series_tooltip(series: SeriesRow, findings: tuple[Finding, ...]) -> str:
    """All that is known, one line each."""
    lines = [series_title(series), series_content(series), spacing_text(series)]
    lines = [line for line in lines if line] + [counted(series.files, "file")]
    if series.body_part:
        lines.append(f"Body part: {series.body_part.lower()}")
    lines += [f"{severity_word(finding.severity)}: {finding.text}" for finding in findings]
    lines.append("Double-click it, or drag it onto the canvas, to open it")
    return "\n".join(lines)


def worst_severity(findings: tuple[Finding, ...]) -> Severity | None:
    """The severity that the badge shows; notes alone need none."""
    found = {finding.severity for finding in findings}
    return next((s for s in (Severity.BLOCKING, Severity.WARNING) if s in found), None)


def badge_text(findings: tuple[Finding, ...]) -> str:
    """E.g. ``1 problem`` or ``2 warnings``: how many of the worst severity."""
    worst = worst_severity(findings)
    if worst is None:
        return ""
    count = sum(finding.severity is worst for finding in findings)
    return counted(count, severity_word(worst).lower())


def summary_text(summary: IndexSummary, files_per_s: float) -> str:
    """E.g. ``3 patients · 4 studies · 60 series``; while indexing, how fast that goes."""
    series = counted(summary.series, "series")
    if files_per_s > 0:
        return f"{series} so far · {files_per_s:,.0f} files/s"
    return (
        f"{counted(summary.patients, 'patient')} · {counted(summary.studies, 'study')} · {series}"
    )


def counted(count: int, what: str) -> str:
    """E.g. ``1 image``, ``12,000 images``."""
    plural = what if what.endswith("s") else f"{what}s"
    if what.endswith("y"):
        plural = f"{what[:-1]}ies"
    return f"{count:,} {what if count == 1 else plural}"


def _age(years: int) -> str:
    return f"{OLDEST_AGE}+ y" if years >= OLDEST_AGE else f"{years} y"
