"""Figures as people read them: three decimals, interval, and a dash for what does not exist."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_medcnn.evaluation.confidence import Interval

DASH = "–"

TITLES = {
    "dice": "Dice",
    "jaccard": "IoU",
    "nsd": "NSD",
    "hd95_mm": "HD95 mm",
    "volume_error_percent": "volume error %",
    "lesion_sensitivity": "lesions found",
    "lesion_precision": "lesion precision",
    "lesion_f1": "lesion F1",
    "lesion_false_positives": "false lesions a case",
}
"""What people call the figures of a segmentation, in the order in which they are read."""

MACRO = {
    "precision": "macro precision",
    "recall": "macro recall",
    "specificity": "macro specificity",
    "f1": "macro F1",
    "auc": "macro ROC AUC",
    "average_precision": "macro PR AUC",
}
"""The same of a classification's means over its classes."""

_WHOLE_PATH = re.compile(r"""(?<![\w.])(?:[A-Za-z]:)?[/\\][^:'"\n]*""")
_RELATIVE_PATH = re.compile(r"""[^\s'":()]+[/\\][^\s'":()]+\.\w+""")
_FILE = re.compile(
    r"""[^\s'":()]+\.(?:nii(?:\.gz)?|dcm|ima|mha|mhd|nrrd|hdr|img|png|jpe?g|tiff?|npy)\b""", re.I
)


def number(value: float | None) -> str:
    """A figure; from 10 on with one decimal, because those are millimetres or percent."""
    if value is None:
        return DASH
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def ends(interval: Interval) -> str:
    """The ends of an interval, or a dash."""
    if interval.low is None or interval.high is None:
        return DASH
    return f"{number(interval.low)} to {number(interval.high)}"


def chance(value: float | None) -> str:
    """A p-value."""
    return DASH if value is None else f"{value:.3g}"


def figure_title(figure: str) -> str:
    """What people call a figure that two models were compared by, e.g. ``"HD95 mm, tumour"``."""
    name, comma, label = figure.partition(",")
    known = TITLES | {f"macro {key}": title for key, title in MACRO.items()}
    return known.get(name, name) + comma + label


def counted(count: int, noun: str) -> str:
    """``1 case``, ``2 cases``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def without_paths(text: str) -> str:
    """A reason without folders and names of files, which may name a patient."""
    for pattern in (_WHOLE_PATH, _RELATIVE_PATH, _FILE):
        text = pattern.sub("a file", text)
    return text
