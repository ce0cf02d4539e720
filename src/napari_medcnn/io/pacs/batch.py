"""Several series in one go: each takes its place by itself, and one that fails stops no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_medcnn.core.errors import Cancelled, MedcnnError
from napari_medcnn.core.events import Done, Job, JobControl, Message
from napari_medcnn.io.pacs.connection import PacsConnection
from napari_medcnn.io.pacs.download import Retrieved
from napari_medcnn.io.pacs.query import SeriesKey


@dataclass(frozen=True)
class RetrievedAll:
    """What came and what did not.

    Parameters
    ----------
    series : tuple of Retrieved
        The complete ones.
    failures : tuple of str
        One sentence for each of the others.
    """

    series: tuple[Retrieved, ...]
    failures: tuple[str, ...] = ()


def retrieve_all(
    connection: PacsConnection,
    keys: Sequence[SeriesKey],
    folder: Path,
    control: JobControl | None = None,
    on_series: Callable[[Retrieved], None] | None = None,
) -> Job:
    """Fetch series one after the other.

    Parameters
    ----------
    connection : PacsConnection
        The server.
    keys : sequence of SeriesKey
        Which series.
    folder : Path
        Each series gets a folder in it.
    on_series : callable, optional
        Called with each series that is complete; a later cancel doesn't take it back.

    Raises
    ------
    MedcnnError
        When the only series asked for fails: its own error.
    """
    control = control or JobControl()
    retrieved: list[Retrieved] = []
    failures: list[str] = []
    for number, key in enumerate(keys, 1):
        control.checkpoint()
        if len(keys) > 1:
            yield Message(f"series {number} of {len(keys)}")
        try:
            for event in connection.retrieve(key, folder, control):
                if not isinstance(event, Done):
                    yield event
                    continue
                retrieved.append(event.result)
                if on_series is not None:
                    on_series(event.result)
        except Cancelled:
            raise
        except MedcnnError as error:
            if len(keys) == 1:
                raise
            failures.append(str(error))
            yield Message(str(error), "warning")
    yield Done(RetrievedAll(tuple(retrieved), tuple(failures)))
