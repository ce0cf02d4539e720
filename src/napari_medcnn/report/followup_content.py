"""What the report of a follow-up says, from the count of new lesions to how it was made."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from napari_medcnn.core.change import Change, ChangeClass, LesionChange, Sizes
from napari_medcnn.core.followup import FollowUp, Study
from napari_medcnn.core.lesion import Measurement
from napari_medcnn.core.registration import Registration
from napari_medcnn.report.change_plots import MM3_PER_ML, amount_mm3
from napari_medcnn.report.document import (
    Block,
    Cell,
    Document,
    Notes,
    Paragraph,
    Picture,
    Section,
    Table,
    cells,
    facts,
)
from napari_medcnn.report.figure_text import DASH, counted
from napari_medcnn.report.notice import RESEARCH_USE_NOTICE
from napari_medcnn.report.plot import Plot
from napari_medcnn.report.run_record import software_versions

LESION_HEAD = (
    "lesion", "change", "volume before, mL", "volume after, mL", "difference, mL", "%",
    "long axis before, mm", "long axis after, mm", "confidence",
)  # fmt: skip

ORDER = (
    ChangeClass.NEW,
    ChangeClass.ENLARGING,
    ChangeClass.MERGED,
    ChangeClass.SPLIT,
    ChangeClass.SHRINKING,
    ChangeClass.RESOLVED,
    ChangeClass.STABLE,
    ChangeClass.UNSURE,
)
"""As a reader wants to know of them."""


def followup_document(found: FollowUp, plots: Sequence[Plot], written: datetime) -> Document:
    """The report of a follow-up. It names studies as they are named, and no files or patients.

    Parameters
    ----------
    found : FollowUp
        Both studies, and what became of the lesions.
    plots : sequence of Plot
        Of :func:`~napari_medcnn.report.followup_plots.plots_of_change`.
    written : datetime
        When the report is made, with its time zone.
    """
    pictures = [Picture(plot.name, f"{plot.title}. {plot.caption}", plot.title) for plot in plots]
    volumes = [one for one in pictures if one.name == "volumes"]
    key_images = [one for one in pictures if one.name != "volumes"]
    sections = [
        _summary(found),
        Section("Lesions", (*volumes, _lesions(found.change))),
        *([Section("Key images", (*_said_of_images(found), *key_images))] if key_images else []),
        _registration(found.registration),
        _method(found),
    ]
    names = f"{found.before.point.name} and {found.after.point.name}"
    apart = _apart(found.change)
    return Document(
        "Follow-up of lesions",
        ", ".join(part for part in (names, apart, f"written {written:%Y-%m-%d}") if part),
        RESEARCH_USE_NOTICE,
        tuple(sections),
    )


def lesion_name(lesion: LesionChange) -> str:
    """A lesion by its numbers in both studies: ``3 → 5``, ``– → 7``, ``2, 4 → 2``."""

    def side(ids: list[int]) -> str:
        return ", ".join(map(str, ids)) or DASH

    before = side([key.lesion_id for key in lesion.link.before])
    return f"{before} → {side([key.lesion_id for key in lesion.link.after])}"


def in_ml(found: Measurement) -> str:
    """A volume in mL with its error."""
    if found.value is None:
        return DASH
    value = found.value / MM3_PER_ML
    if found.error is None:
        return f"{value:.2f}"
    return f"{value:.2f} ± {found.error / MM3_PER_ML:.2f}"


def _summary(found: FollowUp) -> Section:
    change, totals = found.change, found.change.totals
    counts = change.counts
    before, after = (
        f"{count} at {point.name}"
        for count, point in (
            (totals.count_before, change.before),
            (totals.count_after, change.after),
        )
    )
    volumes = [in_ml(one) for one in (totals.volume_before_mm3, totals.volume_after_mm3)]
    rows = tuple(cells(kind.value, counts[kind]) for kind in ORDER if counts[kind])
    pairs = [
        ("new or enlarging", counted(change.new_and_enlarging, "lesion")),
        ("lesions", f"{before}, {after}"),
        ("volume of all", "{} mL before, {} mL after".format(*volumes)),
        ("difference", _difference(totals.difference_mm3)),
        ("between the studies", _apart(change) or "not known"),
    ]
    blocks: list[Block] = [facts("", pairs)]
    if rows:
        blocks.append(Table("What became of them", ("change", "lesions"), rows))
    quality = found.registration.quality
    if not quality.plausible:
        text = "The registration looks wrong: look at it before anything here is believed."
        blocks.insert(0, Paragraph(text, strong=True))
    if counts[ChangeClass.UNSURE]:
        unsure = counted(counts[ChangeClass.UNSURE], "lesion")
        blocks.append(Paragraph(f"Of {unsure} it cannot be said; the table tells why.", True))
    return Section("Summary", tuple(blocks))


def _difference(found: Measurement) -> str:
    if found.value is None:
        return found.reason
    within = found.error is not None and abs(found.value) <= found.error
    said = ", within the measurement error" if within else ""
    return f"{in_ml(found)} mL{said}"


def _apart(change: Change) -> str:
    before, after = change.before.day, change.after.day
    return "" if before is None or after is None else counted(round(after - before), "day")


def _lesions(change: Change) -> Table | Paragraph:
    if not change.lesions:
        return Paragraph("No lesion was found in either study.")
    notes = Notes()
    ranked = sorted(change.lesions, key=_rank)
    rows = tuple(_row(lesion, notes) for lesion in ranked)
    return Table("Every lesion", LESION_HEAD, rows, texts=2, notes=notes.notes)


def _rank(lesion: LesionChange) -> tuple[int, float]:
    return ORDER.index(lesion.kind), -amount_mm3(lesion)


def _row(lesion: LesionChange, notes: Notes) -> tuple[Cell, ...]:
    before, after = lesion.before, lesion.after
    confidence = lesion.link.confidence
    sure = "by hand" if lesion.link.by_user else f"{confidence:.2f}" if confidence else DASH
    unsure = lesion.reason if lesion.kind is ChangeClass.UNSURE else ""
    return (
        Cell(lesion_name(lesion)),
        notes.cell(lesion.kind.value, unsure),
        *(
            Cell(DASH) if one is None else notes.cell(in_ml(one.volume_mm3), one.volume_mm3.reason)
            for one in (before, after)
        ),
        notes.cell(in_ml(lesion.difference_mm3), lesion.difference_mm3.reason),
        Cell(DASH if lesion.percent.value is None else f"{round(lesion.percent.value):+d}"),
        *(Cell(DASH) if one is None else _long_axis(one, notes) for one in (before, after)),
        Cell(sure),
    )


def _long_axis(sizes: Sizes, notes: Notes) -> Cell:
    found = sizes.long_axis_mm
    return notes.cell(DASH if found.value is None else f"{found.value:.1f}", found.reason)


def _said_of_images(found: FollowUp) -> tuple[Block, ...]:
    text = (
        f"The follow-up is shown as it lies on the grid of {found.before.point.name}, "
        "interpolated; nothing was measured on it. The lesion is outlined in yellow, others in "
        "blue. The patient's right is on the left."
    )
    return (Paragraph(text),)


def _registration(registration: Registration) -> Section:
    quality = registration.quality
    pairs = [
        ("kind", registration.kind.value),
        ("similarity", _similarity(quality.similarity_before, quality.similarity_after)),
        ("overlap of both masks", f"Dice {quality.overlap:.3f}"),
        ("moved by", f"{quality.shift_mm:.1f} mm, turned by {quality.rotation_deg:.1f}°"),
        ("landmarks", "" if quality.landmark_error_mm is None
                      else f"{quality.landmark_error_mm:.2f} mm apart on average"),
        ("looks", "plausible" if quality.plausible else "WRONG"),
    ]  # fmt: skip
    warned = tuple(Paragraph(text, strong=True) for text in quality.warnings)
    return Section("Registration", (*warned, facts("", pairs)))


def _similarity(before: float | None, after: float | None) -> str:
    shown = [DASH if value is None else f"{value:.3f}" for value in (before, after)]
    return f"normalised mutual information {shown[0]} before, {shown[1]} after"


def _method(found: FollowUp) -> Section:
    pairs = [
        *((study.point.name, _image(study)) for study in (found.before, found.after)),
        *(
            (f"marked in {study.point.name} by", _marked_by(study))
            for study in (found.before, found.after)
        ),
    ]
    versions = software_versions()
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    return Section(
        "How it was made",
        (
            Paragraph(found.change.rule.words),
            Paragraph(
                "Volumes and diameters are measured on each study's own grid; ± is the half-width "
                "of the interval that holds the true value in about 95 % of cases, from voxel "
                "size and partial volume alone. Which tissue is lesion is another question, and "
                "not in it."
            ),
            facts("", pairs),
            facts("Software", [("versions", told)]),
        ),
    )


def _image(study: Study) -> str:
    z, y, x = study.volume.geometry.spacing
    size = " × ".join(str(n) for n in reversed(study.volume.geometry.shape))
    kind = study.volume.modality or "image"
    return f"{kind}, {size} voxels of {x:.2f} × {y:.2f} × {z:.2f} mm"


def _marked_by(study: Study) -> str:
    model = study.segmentation.model
    if model is None:
        return "a label map that was given"
    return f"{model.title or model.id} {model.version}".strip()
