"""Values that stand in for removed ones: valid for their type, and the same for everybody."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

TEXT = "REMOVED"
DATE, TIME, DATE_TIME = "19000101", "000000", "19000101000000"

_BY_VR: dict[str, Any] = {
    "AE": TEXT, "CS": TEXT, "LO": TEXT, "LT": TEXT, "PN": TEXT, "SH": TEXT, "ST": TEXT,
    "UC": TEXT, "UT": TEXT, "AS": "000Y", "UR": "http://removed.invalid",
    "DA": DATE, "TM": TIME, "DT": DATE_TIME, "DS": "0", "IS": "0",
    "FD": 0.0, "FL": 0.0, "SL": 0, "SS": 0, "SV": 0, "UL": 0, "US": 0, "UV": 0,
    "OB": b"\0\0", "OW": b"\0\0", "UN": b"\0\0", "OF": bytes(4), "OL": bytes(4), "OD": bytes(8),
    "OV": bytes(8), "AT": 0,
}  # fmt: skip


def dummy(keyword: str, vr: str) -> Any:
    """A value for an attribute that must have one.

    Parameters
    ----------
    keyword : str
        The attribute's keyword, for sequences.
    vr : str
        Its value representation; not UI, whose values are replaced by
        :class:`~napari_medcnn.io.deidentify.pseudonyms.Pseudonyms`.
    """
    if vr != "SQ":
        return _BY_VR[vr]
    maker = _SEQUENCES.get(keyword)
    if maker is not None:
        return [maker()]
    return [_code() if keyword.endswith("CodeSequence") else _empty_item()]


def _empty_item() -> Dataset:
    from pydicom.dataset import Dataset

    return Dataset()


def _code(value: str = TEXT, scheme: str = "99REMOVED", meaning: str = TEXT) -> Dataset:
    from pydicom.dataset import Dataset

    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _comment() -> Dataset:
    """One content item that says that the content is gone (PS3.3 C.17.3)."""
    from pydicom.dataset import Dataset

    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "TEXT"
    item.ConceptNameCodeSequence = [_code("121106", "DCM", "Comment")]
    item.TextValue = TEXT
    return item


def _person() -> Dataset:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.PersonIdentificationCodeSequence = [_code()]
    item.InstitutionName = TEXT
    return item


def _observer() -> Dataset:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.VerifyingObserverName = item.VerifyingOrganization = TEXT
    item.VerificationDateTime = DATE_TIME
    item.VerifyingObserverIdentificationCodeSequence = []
    return item


def _graphic() -> Dataset:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.GraphicLayer = TEXT
    return item


def _annotation() -> Dataset:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.UnformattedTextValue = TEXT
    item.ReferencedWaveformChannels = [1, 0]
    return item


_SEQUENCES: dict[str, Callable[[], Dataset]] = {
    "ContentSequence": _comment,
    "GraphicAnnotationSequence": _graphic,
    "OperatorIdentificationSequence": _person,
    "PersonIdentificationCodeSequence": _code,
    "VerifyingObserverSequence": _observer,
    "WaveformAnnotationSequence": _annotation,
}
