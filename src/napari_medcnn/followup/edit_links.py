"""Links as a person corrects them; matching again keeps what a person said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from napari_medcnn.core.change import LesionKey, Link
from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.followup.matching import in_order

_SIDES = ("before", "after")


def link_lesions(
    links: Sequence[Link], before: Iterable[LesionKey], after: Iterable[LesionKey]
) -> tuple[Link, ...]:
    """Say that lesions of both studies are one lesion.

    Parameters
    ----------
    links : sequence of Link
        Every lesion in exactly one, as :func:`~.matching.match_lesions` gives them.
    before, after : iterable of LesionKey
        At least one on each side; several are a merger, or a split.

    Returns
    -------
    tuple of Link
        The new link, with `by_user`, and the others. A lesion leaves the link that held it; what
        is left of that link stays one without a confidence, until lesions are matched again.

    Raises
    ------
    InputMismatch
        When a side is empty, or a lesion is in none of the links.
    """
    drawn = Link(tuple(sorted(before)), tuple(sorted(after)), by_user=True)
    if not drawn.has_partners:
        raise InputMismatch(
            "a link needs a lesion of each study", hint="to part lesions, unlink them instead"
        )
    return in_order([drawn, *_without(links, drawn)])


def unlink_lesions(links: Sequence[Link], lesions: Iterable[LesionKey]) -> tuple[Link, ...]:
    """Say that lesions have no partner in the other study.

    Each becomes a link of its own with `by_user`; errors and what is left as of
    :func:`link_lesions`.
    """
    for key in sorted(set(lesions)):
        is_before = any(key in link.before for link in links)
        alone = Link((key,), (), by_user=True) if is_before else Link((), (key,), by_user=True)
        links = [alone, *_without(links, alone)]
    return in_order(links)


def forget_edits(links: Sequence[Link], lesions: Iterable[LesionKey]) -> tuple[Link, ...]:
    """Leave it to matching again which lesions these are: their links lose `by_user`."""
    chosen = set(lesions)
    return tuple(
        Link(link.before, link.after) if chosen & {*link.before, *link.after} else link
        for link in links
    )


def _without(links: Sequence[Link], taken: Link) -> list[Link]:
    """The links without the lesions of one."""
    _check_known(links, taken)
    left = []
    for link in links:
        before = tuple(key for key in link.before if key not in taken.before)
        after = tuple(key for key in link.after if key not in taken.after)
        if (before, after) == (link.before, link.after):
            left.append(link)
        elif before or after:
            left += _rest(before, after)
    return left


def _rest(before: tuple[LesionKey, ...], after: tuple[LesionKey, ...]) -> list[Link]:
    """What is left of a link: one where both sides are, else each lesion for itself."""
    if before and after:
        return [Link(before, after)]
    return [*(Link((key,), ()) for key in before), *(Link((), (key,)) for key in after)]


def _check_known(links: Sequence[Link], taken: Link) -> None:
    for side in _SIDES:
        known = {key for link in links for key in getattr(link, side)}
        unknown = sorted(set(getattr(taken, side)) - known)
        if unknown:
            raise InputMismatch(
                f"there is no lesion {unknown[0].lesion_id} in the study {side}",
                source=unknown[0].study,
            )
