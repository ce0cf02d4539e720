"""Look through studies and their series: one road for both protocols."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from napari_medcnn.core.events import Done, Job, JobControl, Message, Progress
from napari_medcnn.io.pacs.query import Found, Match, Query, series_match, study_match

if TYPE_CHECKING:
    from pydicom import Dataset

MAX_STUDIES = 1000
"""Most studies that one search looks at."""

MAX_SERIES = 1000
"""Most series of a study that are listed."""

Studies: TypeAlias = Callable[[dict[str, str], int], Sequence["Dataset"]]
"""Filters and the most answers wanted → the server's studies."""

Series: TypeAlias = Callable[[str, dict[str, str], int], Sequence["Dataset"]]
"""A study's UID, filters and the most answers wanted → the study's series."""


def search(query: Query, control: JobControl, studies: Studies, series: Series) -> Job:
    """Studies first, then each study's series: every server can do that.

    A search for series across studies is an option of both protocols that many servers lack.

    Parameters
    ----------
    query : Query
        What to look for.
    studies, series : callable
        How the server is asked.
    """
    control.checkpoint()
    yield Progress("searching", 0, 0)
    found = [study_match(answer) for answer in studies(query.study_filters(), MAX_STUDIES + 1)]
    has_more = len(found) > MAX_STUDIES
    found = found[:MAX_STUDIES]
    if has_more:
        yield Message(f"only {MAX_STUDIES} studies were looked at; narrow the search", "warning")
    if query.level == "study":
        matches = [study for study in found if query.describes(study)]
    else:
        matches = []
        for number, study in enumerate(found):
            control.checkpoint()
            yield Progress("searching", number, len(found))
            answers = series(study.study_uid, query.series_filters(), MAX_SERIES + 1)
            listed = [series_match(answer, study) for answer in answers]
            matches += filter(query.describes, listed)
            if len(matches) > query.limit:
                break
        control.checkpoint()
    yield Progress("searching", len(found), len(found))
    has_more = has_more or len(matches) > query.limit
    yield Done(Found(_newest_first(matches)[: query.limit], has_more))


def _newest_first(matches: list[Match]) -> tuple[Match, ...]:
    by_number = sorted(matches, key=lambda match: (match.study_uid, match.series_number or 0))
    return tuple(sorted(by_number, key=lambda match: match.study_date, reverse=True))
