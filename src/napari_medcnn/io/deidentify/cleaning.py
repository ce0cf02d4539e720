"""One data set without its identity, sequences at every depth included."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from napari_medcnn.core.errors import ReadError
from napari_medcnn.io.deidentify.dates import Shift
from napari_medcnn.io.deidentify.dummies import dummy
from napari_medcnn.io.deidentify.profile import Action, Profile
from napari_medcnn.io.deidentify.pseudonyms import Pseudonyms
from napari_medcnn.io.dicom.guarded import dicom_failures

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset

MAX_DEPTH = 32
"""Deepest nesting of sequences that is followed; no object of the standard needs ten."""

PRIVATE, UNKNOWN = -1, -2
"""In place of a tag where naming it would tell more than it should: counted together."""

Changes: TypeAlias = Counter[tuple[int, str]]
"""How often which action was taken on which tag."""

# Registered by DICOM, and HL7's registered code systems (SNOMED CT, LOINC, ...).
_PUBLIC_UID_ROOTS = ("1.2.840.10008.", "2.16.840.1.113883.6.")


_OF_REFERENCES = frozenset({
    "PurposeOfReferenceCodeSequence", "ReferencedFrameNumber", "ReferencedSOPClassUID",
    "ReferencedSOPInstanceUID", "ReferencedSegmentNumber", "SpatialLocationsPreserved",
})  # fmt: skip
"""What a reference to an instance consists of (PS3.3 Table 10-3 and C.7.6.1)."""


@dataclass(frozen=True)
class Patient:
    """Who a file's patient becomes."""

    pseudonym: str
    shift: Shift


@dataclass
class Cleaner:
    """Applies a profile to the data sets of one file.

    Parameters
    ----------
    profile : Profile
        The action for each attribute.
    pseudonyms : Pseudonyms
        New UIDs.
    patient : Patient
        The new identity.
    sop_class : str
        The file's SOP Class UID.
    changes : Counter
        What was done, filled on the way.
    """

    profile: Profile
    pseudonyms: Pseudonyms
    patient: Patient
    sop_class: str
    changes: Changes = field(default_factory=Counter)

    def clean(self, dataset: Dataset, depth: int = 0) -> None:
        """Change a data set in place.

        Raises
        ------
        ReadError
            When sequences nest deeper than :data:`MAX_DEPTH`.
        """
        if depth > MAX_DEPTH:
            raise ReadError("its header nests too deeply")
        early = self._early_dates(dataset)
        for tag in list(dataset.keys()):
            element = _readable(dataset, tag)
            if element is None:
                self._remove(dataset, int(tag), counted_as=int(tag))
                continue
            action = self.profile.action(
                int(tag), str(element.VR), top=depth == 0, sop_class=self.sop_class
            )
            if action is Action.SHIFT and not _is_empty(element):
                self._shift(element, early=int(tag) in early)
            elif action is not Action.SHIFT:
                self._apply(dataset, element, action, depth)

    def _apply(self, dataset: Dataset, element: DataElement, action: Action, depth: int) -> None:
        tag, vr = int(element.tag), str(element.VR)
        if action is Action.REFERENCES and vr == "SQ":
            _reduce_to_references(element)
            self._keep(element, depth)
            return
        if action is Action.KEEP:
            self._keep(element, depth)
            return
        if action is Action.REMOVE:
            self._remove(dataset, tag, counted_as=_counted_as(element))
            return
        if action is not Action.PSEUDONYM and _is_empty(element):
            return
        if action is Action.REFERENCES or (action is Action.UID and vr != "UI"):
            action = Action.REMOVE  # of another type than the standard's: it might be anything
        self.changes[tag, str(action)] += 1
        if action is Action.PSEUDONYM:
            element.value = self.patient.pseudonym
        elif action is Action.EMPTY:
            element.value = [] if vr == "SQ" else None
        elif action is Action.UID or vr == "UI":
            element.value = self._uids(element.value)
        elif action is Action.REMOVE:
            del dataset[element.tag]
        else:
            element.value = dummy(element.keyword, vr)

    def _keep(self, element: DataElement, depth: int) -> None:
        if element.VR == "SQ":
            for item in element.value or []:
                self.clean(item, depth + 1)
        elif element.VR == "UI" and not _is_empty(element):
            new = self._uids(element.value, keep_public=True)
            if new != element.value:
                self.changes[int(element.tag), str(Action.UID)] += 1
                element.value = new

    def _uids(self, value: Any, *, keep_public: bool = False) -> Any:
        several = not isinstance(value, str)
        new = [
            uid if keep_public and str(uid).startswith(_PUBLIC_UID_ROOTS)
            else self.pseudonyms.uid(str(uid))
            for uid in (value if several else [value])
        ]  # fmt: skip
        return new if several else new[0]

    def _early_dates(self, dataset: Dataset) -> frozenset[int]:
        """Dates whose time, in the attribute of the same name, goes back over midnight."""
        from pydicom.datadict import keyword_for_tag, tag_for_keyword

        early = set()
        for tag in list(dataset.keys()):
            keyword = keyword_for_tag(tag)
            if "Date" not in keyword or "DateTime" in keyword:
                continue
            time_tag = tag_for_keyword(keyword.replace("Date", "Time"))
            if time_tag is None or time_tag not in dataset:
                continue
            time = _readable(dataset, time_tag)
            if time is not None and self.patient.shift.is_early(str(time.value)):
                early.add(int(tag))
        return frozenset(early)

    def _shift(self, element: DataElement, *, early: bool) -> None:
        shift, vr = self.patient.shift, str(element.VR)
        several = not isinstance(element.value, str)
        old = [str(value) for value in (element.value if several else [element.value])]
        try:
            if vr == "DA":
                new = [shift.date(value, early=early) if value else "" for value in old]
            else:
                move = shift.time if vr == "TM" else shift.date_time
                new = [move(value) if value else "" for value in old]
        except ValueError:
            self.changes[int(element.tag), str(Action.DUMMY)] += 1
            element.value = dummy("", vr)
            return
        self.changes[int(element.tag), str(Action.SHIFT)] += 1
        element.value = new if several else new[0]

    def _remove(self, dataset: Dataset, tag: int, counted_as: int) -> None:
        del dataset[tag]
        if tag & 0xFFFF:  # group lengths are written anew and tell nothing
            self.changes[counted_as, str(Action.REMOVE)] += 1


def _readable(dataset: Dataset, tag: int) -> DataElement | None:
    """The attribute, or None where its value is not what its type says: it might be anything."""
    try:
        element = dataset[tag]
        value = element.value
    except dicom_failures():
        return None
    if element.VR in ("DS", "IS") and not all(_is_number(part) for part in _parts(value)):
        return None
    return element


def _reduce_to_references(element: DataElement) -> None:
    from pydicom.datadict import keyword_for_tag

    for item in element.value or []:
        for tag in list(item.keys()):
            if keyword_for_tag(tag) not in _OF_REFERENCES:
                del item[tag]


def _is_number(value: Any) -> bool:
    if value is None or value == "":
        return True
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _parts(value: Any) -> Iterator[Any]:
    from pydicom.multival import MultiValue

    yield from value if isinstance(value, MultiValue | list | tuple) else (value,)


def _is_empty(element: DataElement) -> bool:
    value = element.value
    return value is None or (hasattr(value, "__len__") and len(value) == 0)


def _counted_as(element: DataElement) -> int:
    if element.tag.is_private:
        return PRIVATE
    return int(element.tag) if element.keyword else UNKNOWN
