"""What became of lesions, as flat records, CSV and JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_medcnn.core.atomic import write_json
from napari_medcnn.core.change import Change, LesionChange, Sizes
from napari_medcnn.core.followup import FollowUp, Study
from napari_medcnn.core.lesion import Measurement
from napari_medcnn.report.notice import RESEARCH_USE_NOTICE
from napari_medcnn.report.run_record import software_versions
from napari_medcnn.report.tables import CONVENTIONS, image_record, model_record, write_records

SCHEMA, SCHEMA_VERSION = "napari-medcnn change", 1

COLUMNS = (
    "tracking_uid", "kind", "before_ids", "after_ids",
    "confidence", "overlap", "distance_mm", "by_user",
    "volume_before_mm3", "volume_before_mm3_error", "volume_after_mm3", "volume_after_mm3_error",
    "difference_mm3", "difference_mm3_error", "percent", "percent_error",
    "long_axis_before_mm", "long_axis_after_mm",
    "long_axis_difference_mm", "long_axis_difference_mm_error",
    "short_axis_before_mm", "short_axis_after_mm", "mean_before", "mean_after",
    "growth_mm3_per_day", "specific_rate_per_day", "doubling_time_days", "reason",
)  # fmt: skip
"""Every column of a record, in order."""

IMAGE_FACTS = ("modality", "unit", "spacing_known", "resampled", "geometry")
"""What is told of an image: its name and findings may hold the name of a file."""


def change_records(change: Change) -> list[dict[str, Any]]:
    """One flat dict a lesion, in the order of :data:`COLUMNS`; None where a value is missing.

    Ids of several lesions are joined by spaces: ``"3 7"``.
    """
    return [_record(lesion) for lesion in change.lesions]


def write_matches_csv(change: Change, path: Path) -> None:
    """Write :func:`change_records` as UTF-8 CSV; missing values are empty cells.

    Raises
    ------
    WriteError
        When `path` cannot be written.
    """
    write_records(change_records(change), COLUMNS, path)


def write_change_json(found: FollowUp, path: Path) -> None:
    """Write the change with all its figures and reasons, and what it was made of and with.

    Raises
    ------
    WriteError
        When `path` cannot be written.
    """
    content = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "notice": RESEARCH_USE_NOTICE,
        "conventions": CONVENTIONS,
        "software": software_versions(),
        "studies": [_study(study) for study in (found.before, found.after)],
        "registration": found.registration.to_json(),
        **found.change.to_json(),
    }
    write_json(path, content)


def _study(study: Study) -> dict[str, Any]:
    """What was measured in which image; no name of a file."""
    model, table = study.segmentation.model, study.table
    return {
        "name": study.point.name,
        "image": {name: image_record(study.volume)[name] for name in IMAGE_FACTS},
        "model": None if model is None else model_record(model),
        "min_volume_mm3": table.min_volume_mm3,
        "dropped_count": table.dropped_count,
    }


def _record(lesion: LesionChange) -> dict[str, Any]:
    link = lesion.link
    return {
        "tracking_uid": lesion.tracking_uid,
        "kind": lesion.kind.value,
        "before_ids": " ".join(str(key.lesion_id) for key in link.before),
        "after_ids": " ".join(str(key.lesion_id) for key in link.after),
        "confidence": link.confidence,
        "overlap": link.overlap,
        "distance_mm": link.distance_mm,
        "by_user": link.by_user,
        **_sizes("before", lesion.before),
        **_sizes("after", lesion.after),
        **_with_error("difference_mm3", lesion.difference_mm3),
        **_with_error("percent", lesion.percent),
        **_with_error("long_axis_difference_mm", lesion.long_axis_difference_mm),
        "growth_mm3_per_day": lesion.growth.mm3_per_day.value,
        "specific_rate_per_day": lesion.growth.specific_rate_per_day.value,
        "doubling_time_days": lesion.growth.doubling_time_days.value,
        "reason": lesion.reason,
    }


def _sizes(side: str, sizes: Sizes | None) -> dict[str, float | None]:
    if sizes is None:
        return {}
    return {
        **_with_error(f"volume_{side}_mm3", sizes.volume_mm3),
        f"long_axis_{side}_mm": sizes.long_axis_mm.value,
        f"short_axis_{side}_mm": sizes.short_axis_mm.value,
        f"mean_{side}": sizes.mean.value,
    }


def _with_error(name: str, found: Measurement) -> dict[str, float | None]:
    return {name: found.value, f"{name}_error": found.error}
