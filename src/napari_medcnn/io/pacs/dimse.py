"""A server that speaks DICOM's own network protocol: C-ECHO, C-FIND, C-GET or C-MOVE, C-STORE."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import generate_uid
from pynetdicom import build_context
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from napari_medcnn.core.errors import ReadError
from napari_medcnn.core.events import Done, Job, JobControl, Progress
from napari_medcnn.io.pacs.answers import unquoted
from napari_medcnn.io.pacs.association import Watch, associated, checked_status
from napari_medcnn.io.pacs.connection import Verified
from napari_medcnn.io.pacs.dimse_retrieve import MAX_CONTEXTS, retrieve_series
from napari_medcnn.io.pacs.download import MAX_INSTANCES, Download
from napari_medcnn.io.pacs.errors import PacsError
from napari_medcnn.io.pacs.profiles import DimseProfile
from napari_medcnn.io.pacs.query import (
    SERIES_KEYS,
    STUDY_KEYS,
    Match,
    Query,
    SeriesKey,
    known_instances,
    series_match,
)
from napari_medcnn.io.pacs.search import search
from napari_medcnn.io.pacs.upload import Outgoing, outgoing_files, sent

MAX_ANSWER_BYTES = 256 * 1024**2
"""Longest list of answers that a search may bring."""

_FIND = StudyRootQueryRetrieveInformationModelFind
_PENDING = (0xFF00, 0xFF01)
_CANCELLED = 0xFE00
_TAKEN_WITH_WARNING = (0xB000, 0xB006, 0xB007)
_MESSAGE_ID = 1


class DimseConnection:
    """See :class:`~napari_medcnn.io.pacs.connection.PacsConnection`."""

    def __init__(self, profile: DimseProfile) -> None:
        self.profile = profile

    def __repr__(self) -> str:
        return f"DimseConnection({self.profile!r})"

    def verify(self, control: JobControl | None = None) -> Job:
        """Ask by C-ECHO, and whether we may search."""
        control = control or JobControl()
        yield Progress("asking the server", 0, 0)
        contexts = [build_context(Verification), build_context(_FIND)]
        with associated(self.profile, contexts, control, MAX_ANSWER_BYTES) as (association, watch):
            offered = {context.abstract_syntax for context in association.accepted_contexts}
            if Verification in offered:
                checked_status(self.profile, association.send_c_echo(), watch, "answer C-ECHO")
            if _FIND not in offered:
                raise PacsError(
                    "the server does not let us search",
                    source=f"connection {self.profile.name}",
                    hint=f"enter {self.profile.calling_ae} in the server",
                )
            # Some servers look at our title only when they are asked for something.
            nothing = _identifier("STUDY", (), {"StudyInstanceUID": generate_uid()})
            self._ask(association, watch, nothing, 1)
        yield Done(Verified(f"{self.profile.address} answers"))

    def find(self, query: Query, control: JobControl | None = None) -> Job:
        """Look for studies or series by C-FIND."""
        control = control or JobControl()
        with self._asking(control) as (association, watch):

            def studies(filters: dict[str, str], most: int) -> list[Dataset]:
                identifier = _identifier("STUDY", STUDY_KEYS, filters)
                return self._ask(association, watch, identifier, most)

            def series(study_uid: str, filters: dict[str, str], most: int) -> list[Dataset]:
                filters = {"StudyInstanceUID": study_uid, **filters}
                identifier = _identifier("SERIES", SERIES_KEYS, filters)
                return self._ask(association, watch, identifier, most)

            yield from search(query, control, studies, series)

    def retrieve(self, key: SeriesKey, folder: Path, control: JobControl | None = None) -> Job:
        """Fetch a series by C-GET or C-MOVE, as the profile says."""
        control = control or JobControl()
        yield Progress("asking what there is", 0, 0)
        with self._asking(control) as (association, watch):
            said = self._said_count(association, watch, key)
            listed = self._listed(association, watch, key)
        if not listed:
            raise PacsError("the server has no such series", hint="search for it again")
        expected = said or len(listed)
        if expected > MAX_INSTANCES:
            raise PacsError(f"the series has more than {MAX_INSTANCES} images")
        with Download(folder, key, listed) as download:
            yield from retrieve_series(self.profile, key, listed, expected, download, control)
            yield Done(download.complete(expected))

    def send(self, paths: Sequence[Path], control: JobControl | None = None) -> Job:
        """Send files by C-STORE."""
        control = control or JobControl()
        outgoing = outgoing_files(paths)
        kinds = sorted({(file.sop_class, file.transfer_syntax) for file in outgoing})
        if len(kinds) > MAX_CONTEXTS:
            raise PacsError("too many kinds of objects at once", hint="send fewer at once")
        contexts = [build_context(*kind) for kind in kinds]
        refusals: list[str] = []
        with associated(self.profile, contexts, control, MAX_ANSWER_BYTES) as (association, watch):
            for number, file in enumerate(outgoing):
                control.checkpoint()
                yield Progress("sending", number, len(outgoing))
                refusal = self._store(association, watch, file)
                if refusal:
                    refusals.append(refusal)
        yield Progress("sending", len(outgoing), len(outgoing))
        yield Done(sent(len(outgoing), refusals, self.profile.name))

    def _asking(self, control: JobControl) -> AbstractContextManager[tuple[Association, Watch]]:
        return associated(self.profile, [build_context(_FIND)], control, MAX_ANSWER_BYTES)

    def _ask(
        self, association: Association, watch: Watch, identifier: Dataset, most: int
    ) -> list[Dataset]:
        """The answers to a C-FIND; what goes beyond `most` is called off."""
        found: list[Dataset] = []
        for status, answer in association.send_c_find(identifier, _FIND, _MESSAGE_ID):
            good = (0, _CANCELLED, *_PENDING)
            code = checked_status(self.profile, status, watch, "search", good)
            if code not in _PENDING or len(found) >= most:
                continue  # what still comes after a cancel is not wanted
            if answer is None:
                raise PacsError("the server's answer cannot be read")
            found.append(answer)
            if len(found) == most:
                association.send_c_cancel(_MESSAGE_ID, query_model=_FIND)
        return found

    def _said_count(self, association: Association, watch: Watch, key: SeriesKey) -> int | None:
        filters = {"StudyInstanceUID": key.study_uid, "SeriesInstanceUID": key.series_uid}
        identifier = _identifier("SERIES", SERIES_KEYS, filters)
        study = Match(key.study_uid)
        for answer in self._ask(association, watch, identifier, MAX_INSTANCES):
            match = series_match(answer, study)
            if match.series_uid == key.series_uid:
                return match.instances
        return None

    def _listed(self, association: Association, watch: Watch, key: SeriesKey) -> dict[str, str]:
        filters = {"StudyInstanceUID": key.study_uid, "SeriesInstanceUID": key.series_uid}
        identifier = _identifier("IMAGE", ("SOPInstanceUID", "SOPClassUID"), filters)
        return known_instances(self._ask(association, watch, identifier, MAX_INSTANCES + 1))

    def _store(self, association: Association, watch: Watch, file: Outgoing) -> str:
        """Why the server refused a file; empty when it took it."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                status = association.send_c_store(file.path)
        except ValueError:
            return "it does not accept this kind of object"
        except RuntimeError:
            raise watch.dropped(self.profile) from None
        except (OSError, EOFError, AttributeError) as error:
            raise ReadError("no DICOM file that can be sent", source=file.path) from error
        if "Status" not in status:
            raise watch.dropped(self.profile)
        code = int(status.Status)
        return "" if code in (0, *_TAKEN_WITH_WARNING) else f"refused with status {code:04X}H"


def _identifier(level: str, keys: Sequence[str], filters: dict[str, str]) -> Dataset:
    """What to ask: each key's value must match; an empty one is only wanted back."""
    identifier = Dataset()
    if not all(value.isascii() for value in filters.values()):
        identifier.SpecificCharacterSet = "ISO_IR 192"
    identifier.QueryRetrieveLevel = level
    with unquoted():  # wildcards and date ranges are no plain values, and right in a query
        for key in keys:
            setattr(identifier, key, "")
        for key, value in filters.items():
            setattr(identifier, key, value)
    return identifier
