"""What becomes of each attribute: PS3.15 Table E.1-1, its options, and what is stricter here.

The table is that of the package *dicom-anonymizer*. An attribute that the table does not know is
kept only where nothing in it can name a person: unknown, private and free-text attributes go.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from napari_medcnn.io.deidentify.options import Dates, Options


class Action(StrEnum):
    """What is done to an attribute; the letters are those of Table E.1-1a."""

    REMOVE = "removed"  # X
    EMPTY = "emptied"  # Z
    DUMMY = "replaced by a dummy"  # D
    UID = "UID replaced"  # U
    SHIFT = "shifted"  # C of the modified dates option
    REFERENCES = "reduced to references with new UIDs"  # U*
    PSEUDONYM = "replaced by the pseudonym"
    KEEP = "kept"  # K; sequences are entered
    RENEWED = "written anew, known numbers only"  # K of the safe private option


_TABLE_ACTIONS = {
    "D_TAGS": Action.DUMMY,
    "Z_TAGS": Action.EMPTY,
    "X_TAGS": Action.REMOVE,
    "U_TAGS": Action.UID,
    # Of several codes the one that suits every object: empty for types 2 and 3, else a dummy.
    "Z_D_TAGS": Action.DUMMY,
    "X_Z_TAGS": Action.EMPTY,
    "X_D_TAGS": Action.DUMMY,
    "X_Z_D_TAGS": Action.DUMMY,
    "X_Z_U_STAR_TAGS": Action.REFERENCES,
}

_OPTIONAL_IN_CLASSIC = frozenset({
    "AcquisitionDate", "AcquisitionDateTime", "AcquisitionDeviceProcessingDescription",
    "AcquisitionTime", "BarcodeValue", "DateOfLastDetectorCalibration", "DetectorID",
    "DeviceSerialNumber", "InstanceCreationDate", "InstanceCreationTime", "InstitutionCodeSequence",
    "InstitutionName", "OperatorIdentificationSequence", "OperatorsName", "ProtocolName",
    "RequestedProcedureDescription", "SeriesDate", "SeriesTime",
    "StationName", "TimeOfLastDetectorCalibration",
})  # fmt: skip
"""Attributes with several codes that are of type 3 at the top of every classic image: X applies."""

_CLASSIC = frozenset(
    "1.2.840.10008.5.1.4.1.1." + suffix
    for suffix in ("1", "1.1", "1.1.1", "1.2", "1.2.1", "2", "3.1", "4", "6.1", "7", "12.1", "12.2",
                   "20")
)  # fmt: skip
"""CR, DX, MG, CT, US, MR, secondary capture, XA, RF and NM images.

PET is not among them: its acquisition date and time are of type 2."""

_PATIENT_CHARACTERISTICS = frozenset({
    "EthnicGroup", "PatientAge", "PatientBodyMassIndex", "PatientSex", "PatientSexNeutered",
    "PatientSize", "PatientWeight", "PregnancyStatus", "SmokingStatus",
})  # fmt: skip
"""K in the column "Retain Patient Characteristics"; its free texts (C) stay removed."""

_DEVICE_IDENTITY = frozenset({
    "CassetteID", "DetectorID", "DeviceDescription", "DeviceLabel", "DeviceSerialNumber",
    "DeviceUID", "GantryID", "GeneratorID", "LensMake", "LensModel", "LensSerialNumber",
    "LensSpecification", "ManufacturerDeviceClassUID", "ManufacturerDeviceIdentifier",
    "PerformedStationAETitle", "PerformedStationGeographicLocationCodeSequence",
    "PerformedStationName", "PerformedStationNameCodeSequence", "PlateID",
    "ScheduledStationAETitle", "ScheduledStationGeographicLocationCodeSequence",
    "ScheduledStationName", "ScheduledStationNameCodeSequence", "SourceManufacturer",
    "SourceSerialNumber", "StationName", "TreatmentMachineName", "UDISequence",
    "UniqueDeviceIdentifier", "XRayDetectorID", "XRayDetectorLabel", "XRaySourceID",
})  # fmt: skip
"""K in the column "Retain Device Identity"."""

_REFERENCES = frozenset({"ReferencedPerformedProcedureStepSequence", "ReferencedStudySequence"})
"""Sequences of references: new UIDs in them are what D asks for, and more useful than none."""

_ALWAYS_GONE_DATES = frozenset({"PatientBirthDate", "PatientBirthTime", "GPSTimeStamp"})
"""Dates to which the modified dates option does not apply."""

_DATE_VRS = frozenset({"DA", "DT", "TM"})
_FREE_TEXT_VRS = frozenset({"PN", "LT", "ST", "UT", "UC", "UR", "AE", "UN"})

_KEPT_TEXTS = frozenset({"CodingSchemeName", "LongCodeValue", "SegmentDescription", "URNCodeValue"})
"""Texts of codes, and the names of segments, that Table E.1-1 lets pass."""

_DUMMY_TEXTS = frozenset({"TrackingID"})
"""Texts beyond the table that an object must have where it has their UID."""

_KEPT_OF_PATIENT = frozenset({
    "AnatomicalOrientationType", "ExaminedBodyThickness", "PatientSpeciesCodeSequence",
    "PatientSpeciesDescription", "QualityControlSubject", "SubjectRelativePositionInImage",
})  # fmt: skip
"""What is kept of group 0010 without being in the table."""

_KEPT_BYTES = frozenset({"PixelData", "ICCProfile", "WaveformData"})
"""What is kept of the attributes that hold bytes of any kind."""

_GROUPS_GONE = frozenset({0x0000, 0x0004, 0x0032, 0x0038})
"""Commands, directory records, orders and visits: nothing in them describes an image."""


@dataclass(frozen=True)
class Profile:
    """The action for each attribute.

    Parameters
    ----------
    actions : dict
        Tag to action, by the table.
    options : Options
        What the user wants kept.
    """

    actions: dict[int, Action]
    options: Options

    def action(self, tag: int, vr: str, *, top: bool, sop_class: str) -> Action:
        """What to do with an attribute.

        Parameters
        ----------
        tag : int
            Group and element as one number.
        vr : str
            Its value representation.
        top : bool
            Whether it is at the data set's top, not inside a sequence.
        sop_class : str
            The SOP Class UID of the object.
        """
        from pydicom.datadict import dictionary_keyword

        group = tag >> 16
        if group % 2 or not tag & 0xFFFF or group in _GROUPS_GONE or _is_repeating(group):
            return Action.REMOVE
        try:
            keyword = dictionary_keyword(tag)
        except KeyError:
            # Some of the table's attributes are younger than the dictionary: unknown ones go too.
            return Action.REMOVE
        if keyword in ("PatientID", "PatientName"):
            return Action.PSEUDONYM
        chosen = self._by_option(keyword, vr)
        if chosen is not None:
            return chosen
        if tag not in self.actions:
            return _beyond_the_table(group, keyword, vr)
        if keyword in _REFERENCES:
            return Action.REFERENCES
        if top and sop_class in _CLASSIC and keyword in _OPTIONAL_IN_CLASSIC:
            return Action.REMOVE
        return self.actions[tag]

    def _by_option(self, keyword: str, vr: str) -> Action | None:
        if self.options.keep_patient_characteristics and keyword in _PATIENT_CHARACTERISTICS:
            return Action.KEEP
        if self.options.keep_device_identity and keyword in _DEVICE_IDENTITY:
            return Action.KEEP
        shifted = self.options.dates is Dates.SHIFT and vr in _DATE_VRS
        return Action.SHIFT if shifted and keyword not in _ALWAYS_GONE_DATES else None


def profile_for(options: Options) -> Profile:
    """The profile with its options."""
    from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c

    actions = {
        (tag[0] << 16) + tag[1]: action
        for name, action in _TABLE_ACTIONS.items()
        for tag in getattr(dicomfields_2026c, name)
        if len(tag) == 2  # repeating groups have a mask beside the tag and are removed whole
    }
    return Profile(actions, options)


def _is_repeating(group: int) -> bool:
    """Curves and overlays: without their data their descriptions would be wrong."""
    return group & 0xFF00 in (0x5000, 0x6000)


def _beyond_the_table(group: int, keyword: str, vr: str) -> Action:
    if vr in _DATE_VRS:
        return Action.DUMMY
    if group == 0x0010 and keyword not in _KEPT_OF_PATIENT:
        return Action.REMOVE
    if keyword in _DUMMY_TEXTS:
        return Action.DUMMY
    if vr in _FREE_TEXT_VRS and keyword not in _KEPT_TEXTS:
        return Action.REMOVE
    if vr == "OB" and keyword not in _KEPT_BYTES:
        return Action.REMOVE
    return Action.KEEP
