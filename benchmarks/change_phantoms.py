"""Matching and classes of change on phantoms of which everything is known.

    python -m benchmarks.change_phantoms [--first 0] [--phantoms 200] [--residual-mm 1]

Prints the share of links and of classes that are right, in how many lesions the true change in
volume lies within the stated error, how often links of each confidence are right, and how much a
lesion must grow to be called enlarging. Phantoms 0 to 199 are the published ones; the matcher was
tuned on those from 10,000 on.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from benchmarks.growing_phantoms import Fate, GrowingPhantom, Recipe, Study, phantom
from napari_medcnn.core.change import Change, LesionChange, LesionKey, TimePoint
from napari_medcnn.core.geometry import FloatArray
from napari_medcnn.core.lesion import LesionTable, Measurement
from napari_medcnn.core.registration import SpatialTransform
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.followup.classify_change import difference
from napari_medcnn.followup.compare import compare_studies
from napari_medcnn.followup.matching import match_lesions
from napari_medcnn.followup.placed import PlacedLesions
from napari_medcnn.imaging.lesions import find_lesions

TRUE_CLASS = {
    "stable": "stable",
    "new": "new",
    "gone": "resolved",
    "grown": "enlarging",
    "shrunk": "shrinking",
    "merged": "merged",
    "split": "split",
}
GROWTHS_MM = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
CONFIDENCES = (0.0, 0.5, 0.8, 0.9, 0.95, 1.0)

Lesions: TypeAlias = tuple[frozenset[int], frozenset[int]]
"""True numbers of lesions before and after."""


@dataclass(frozen=True)
class Judged:
    """One true lesion and what was said of it.

    Parameters
    ----------
    kind, said : str
        The true class, and the one that was said of the link of its first lesion.
    link_right : bool
        Whether a link holds exactly its lesions.
    error_ratio : float or None
        How far the measured change in volume is off, in units of its stated error; None without a
        right link.
    """

    kind: str
    said: str
    link_right: bool
    error_ratio: float | None


def measured(study: Study) -> LesionTable:
    """The lesions of a study as the program finds them in its label map."""
    volume = Volume(study.image, study.geometry, modality="MR")
    labels = Segmentation(
        (study.lesions > 0).astype(np.uint8), study.geometry, (Label(1, "lesion"),), volume.id
    )
    return find_lesions(labels, volume)


def compared(made: GrowingPhantom, residual_mm: float) -> tuple[Change, dict[LesionKey, int]]:
    """What the program says of a phantom, and the true number of each lesion that it found."""
    placed = [
        PlacedLesions(name, measured(study), study.geometry, SpatialTransform(matrix))
        for name, study, matrix in (
            ("before", made.before, np.eye(4)),
            ("after", made.after, made.registration),
        )
    ]
    numbers = {
        side.key(lesion): int(study.lesions[lesion.anchor_index])
        for side, study in zip(placed, (made.before, made.after), strict=True)
        for lesion in side.lesions
    }
    links = match_lesions(placed[0], placed[1], residual_mm)
    points = TimePoint("before", "before", 0.0), TimePoint("after", "after", 100.0)
    uids = {key: f"{key.study} {key.lesion_id}" for key in numbers}
    studies = {side.study: side for side in placed}
    return compare_studies(*points, studies, links, uids), numbers


def judged(
    change: Change, numbers: dict[LesionKey, int], fates: Iterable[Fate]
) -> Iterator[Judged]:
    """Every fate of a phantom beside what was said of it."""
    said = {_lesions(one, numbers): one for one in change.lesions}
    for fate in fates:
        truth = (frozenset(fate.before), frozenset(fate.after))
        exact = said.get(truth)
        any_of_it = next(one for key, one in said.items() if key[0] & truth[0] or key[1] & truth[1])
        kind = (exact or any_of_it).kind.value
        ratio = None if exact is None else _error_ratio(exact, fate)
        yield Judged(TRUE_CLASS[fate.kind], kind, exact is not None, ratio)


def confidences(change: Change, numbers: dict[LesionKey, int], fates: Sequence[Fate]) -> FloatArray:
    """Confidence of every link that was made, and whether it is right (1 or 0): ``(link, 2)``."""
    true = {(frozenset(fate.before), frozenset(fate.after)) for fate in fates}
    rows = [(one.link.confidence, _lesions(one, numbers) in true) for one in change.lesions]
    return np.array(rows, dtype=np.float64)


def _lesions(one: LesionChange, numbers: dict[LesionKey, int]) -> Lesions:
    """The true numbers of the lesions that were linked."""
    before, after = (
        frozenset(numbers[key] for key in side) for side in (one.link.before, one.link.after)
    )
    return before, after


def _error_ratio(one: LesionChange, fate: Fate) -> float:
    nothing = Measurement(0.0, "mm3", 0.0)  # a new lesion's change is its volume
    before, after = (
        nothing if side is None else side.volume_mm3 for side in (one.before, one.after)
    )
    apart = difference(before, after)
    assert apart.value is not None
    assert apart.error is not None
    return (apart.value - (fate.volume_after_mm3 - fate.volume_before_mm3)) / apart.error


def run(seeds: Iterable[int], recipe: Recipe) -> tuple[list[Judged], FloatArray]:
    """Everything that was said of the phantoms of some seeds."""
    results: list[Judged] = []
    links = []
    for seed in seeds:
        made = phantom(seed, recipe)
        change, numbers = compared(made, recipe.residual_mm)
        results += judged(change, numbers, made.fates)
        links.append(confidences(change, numbers, made.fates))
    return results, np.concatenate(links)


def main() -> None:
    """Match, judge, and print what came."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--first", type=int, default=0, help="seed of the first phantom")
    parser.add_argument("--phantoms", type=int, default=200)
    parser.add_argument("--residual-mm", type=float, default=1.0)
    parser.add_argument("--sweep", type=int, default=0, help="phantoms for each growth, 0: none")
    arguments = parser.parse_args()
    seeds = range(arguments.first, arguments.first + arguments.phantoms)
    results, links = run(seeds, Recipe(residual_mm=arguments.residual_mm))
    _print_results(results)
    _print_calibration(links)
    for growth_mm in GROWTHS_MM if arguments.sweep else ():
        recipe = Recipe(growth_mm=(growth_mm, growth_mm), kinds=("grown",))
        grown, _ = run(range(arguments.first, arguments.first + arguments.sweep), recipe)
        said = Counter(one.said for one in grown)
        print(f"grown by {growth_mm} mm ({len(grown)} lesions): {_shares(said)}", flush=True)


def _print_results(results: list[Judged]) -> None:
    links = sum(one.link_right for one in results)
    classes = sum(one.link_right and one.said == one.kind for one in results)
    ratios = np.array([one.error_ratio for one in results if one.error_ratio is not None])
    total = len(results)
    print(
        f"{total} lesions: links right {links} ({links / total:.1%}), "
        f"classes right {classes} ({classes / total:.1%})"
    )
    held, half = int((np.abs(ratios) <= 1).sum()), np.median(np.abs(ratios))
    print(
        f"true change of volume within its error: {held} of {len(ratios)} "
        f"({held / len(ratios):.1%}), half of them within {half:.2f} of it"
    )
    for kind in TRUE_CLASS.values():
        of_kind = [one for one in results if one.kind == kind]
        wrong_links = sum(not one.link_right for one in of_kind)
        said = Counter(one.said for one in of_kind)
        print(f"  {kind:10s} {len(of_kind):4d}, wrong links {wrong_links:2d}; {_shares(said)}")


def _print_calibration(links: FloatArray) -> None:
    print(
        f"{len(links)} links, mean confidence {links[:, 0].mean():.3f}, "
        f"right {links[:, 1].mean():.3f}"
    )
    for low, high in pairwise(CONFIDENCES):
        within = links[(links[:, 0] > low) & (links[:, 0] <= high)]
        if len(within):
            print(
                f"  confidence {low:.2f} to {high:.2f}: {len(within):4d} links, "
                f"mean {within[:, 0].mean():.3f}, right {within[:, 1].mean():.3f}"
            )


def _shares(said: Counter[str]) -> str:
    total = sum(said.values())
    return ", ".join(f"{kind} {count / total:.1%}" for kind, count in said.most_common())


if __name__ == "__main__":
    main()
