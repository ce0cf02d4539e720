"""How many lesions and how much of them: by label, and of those that were accepted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from napari_medcnn.core.lesion import Lesion, Measurement, Verdict
from napari_medcnn.gui.measurement_text import MISSING, value_text


@dataclass(frozen=True)
class Total:
    """A number of lesions and their summed volume.

    Parameters
    ----------
    count : int
        Of lesions.
    volume_ml : float or None
        Sum of the volumes that are known; None where none is.
    without_volume : int
        How many lesions have no volume, and are not in the sum.
    reason : str
        Why the first of them has none.
    """

    count: int
    volume_ml: float | None
    without_volume: int = 0
    reason: str = ""

    @property
    def text(self) -> str:
        """E.g. ``12 lesions, 8.31 mL``."""
        noun = "lesion" if self.count == 1 else "lesions"
        if not self.count:
            return f"0 {noun}"
        volume = MISSING if self.volume_ml is None else volume_text(self.volume_ml)
        missing = f" ({self.without_volume} without a volume)" if self.without_volume else ""
        return f"{self.count} {noun}, {volume}{missing}"


def volume_text(volume_ml: float) -> str:
    """In mL, small ones in mm³."""
    if volume_ml < 0.1:
        return f"{value_text(Measurement(volume_ml * 1000, 'mm3'))} mm³"
    return f"{value_text(Measurement(volume_ml, 'mL'))} mL"


def total(lesions: Iterable[Lesion]) -> Total:
    """The total of some lesions."""
    chosen = list(lesions)
    volumes = [le.volume_ml for le in chosen]
    known = [v.value for v in volumes if v.value is not None]
    reason = next((v.reason for v in volumes if v.value is None), "")
    return Total(len(chosen), sum(known) if known else None, len(volumes) - len(known), reason)


def summary_lines(lesions: Sequence[Lesion]) -> tuple[str, ...]:
    """What stands above the table: how much there is, each label where there are several, reviews.

    Rejected lesions are in no sum, as in every export.
    """
    counted = [le for le in lesions if le.review.verdict is not Verdict.REJECTED]
    everything = total(counted)
    lines = [everything.text[:1].upper() + everything.text[1:]]
    names = sorted({le.label_name for le in lesions})
    if len(names) > 1:
        lines += [f"{name}: {total(le for le in counted if le.label_name == name).text}"
                  for name in names]  # fmt: skip
    accepted = total(le for le in counted if le.review.verdict is Verdict.ACCEPTED)
    rejected = len(lesions) - len(counted)
    if accepted.count or rejected:
        lines.append(f"Accepted: {accepted.text}")
        not_counted = f"; rejected, not counted: {rejected}" if rejected else ""
        lines.append(f"To review: {everything.count - accepted.count}{not_counted}")
    return tuple(lines)
