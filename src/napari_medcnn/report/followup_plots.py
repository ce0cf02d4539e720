"""The plots and key images of a follow-up's report."""

from __future__ import annotations

from functools import partial

from napari_medcnn.core.change import ChangeClass, LesionChange
from napari_medcnn.core.followup import FollowUp
from napari_medcnn.report.change_pictures import can_be_shown, figure_of_change
from napari_medcnn.report.change_plots import MOST_LESIONS, figure_of_volumes, most_changed
from napari_medcnn.report.followup_content import in_ml, lesion_name
from napari_medcnn.report.plot import Plot

KEY_IMAGES = 8


def plots_of_change(found: FollowUp) -> tuple[Plot, ...]:
    """Every lesion's volumes, and an image of each of those that changed most.

    Lesions that are stable have no key image.
    """
    change = found.change
    if not change.lesions:
        return ()
    shown = most_changed(change, MOST_LESIONS)
    names = [f"{lesion_name(lesion)} {lesion.kind.value}" for lesion in shown]
    rest = len(change.lesions) - len(shown)
    more = f" {rest} more that changed less are in the table." if rest else ""
    volumes = Plot(
        "volumes",
        "Volume of each lesion",
        f"Hollow: {change.before.name}; full: {change.after.name}; with the 95 % error.{more}",
        lambda: figure_of_volumes(change, names),
    )
    ranked = most_changed(change, len(change.lesions))
    worth = [one for one in ranked if one.kind is not ChangeClass.STABLE]
    key = [one for one in worth if can_be_shown(found, one)][:KEY_IMAGES]
    images = (_key_image(found, number, lesion) for number, lesion in enumerate(key))
    return (volumes, *images)


def _key_image(found: FollowUp, number: int, lesion: LesionChange) -> Plot:
    return Plot(
        f"lesion_{number}",
        f"Lesion {lesion_name(lesion)}, {lesion.kind.value}",
        _volumes(found, lesion),
        partial(figure_of_change, found, lesion),
    )


def _volumes(found: FollowUp, lesion: LesionChange) -> str:
    """The lesion's volume in each study in which it is there."""
    sides = ((found.before, lesion.before), (found.after, lesion.after))
    told = [
        f"{in_ml(sizes.volume_mm3)} mL at {study.point.name}"
        for study, sizes in sides
        if sizes is not None
    ]
    return "; ".join(told) + "."
