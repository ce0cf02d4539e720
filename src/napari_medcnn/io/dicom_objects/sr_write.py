"""Measurement reports (TID 1500): one measurement group a lesion, tied to its segment."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from napari_medcnn.core.atomic import replacing
from napari_medcnn.core.errors import WriteError
from napari_medcnn.core.lesion import Lesion, LesionTable, Measurement, Verdict
from napari_medcnn.core.segmentation import ModelReference
from napari_medcnn.core.volume import Volume
from napari_medcnn.io.dicom_objects.codes import PRIVATE_SCHEME, Concept, concept_of
from napari_medcnn.io.dicom_objects.equipment import (
    MANUFACTURER,
    SERIES_NUMBER,
    copy_patient_and_study,
    private_scheme,
    software_version,
)
from napari_medcnn.io.dicom_objects.segments import PlannedSegment, SegmentPlan
from napari_medcnn.io.dicom_objects.source import SourceImages
from napari_medcnn.io.dicom_objects.tracking import derived_uid

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_PROCEDURES = {
    "CT": "CTUnspecifiedBodyRegion",
    "MR": "MRIUnspecifiedBodyRegion",
    "PT": "PETUnspecifiedBodyRegion",
}
_ANY_PROCEDURE = "ImagingProcedure"

VERDICT = ("VERDICT", PRIVATE_SCHEME, "Reader's verdict")
"""The evaluation of what the reader decided: code, scheme, meaning."""

_DIGITS = 6
"""Significant digits of a value: a Decimal String has room for 16 characters."""

_Figure: TypeAlias = tuple[Any, Any, Measurement, Any]
"""Its name, unit, value and derivation, as codes but for the value."""


def write_sr(
    table: LesionTable,
    plan: SegmentPlan,
    segmentation: Dataset,
    volume: Volume,
    source: SourceImages,
    path: Path,
    *,
    model: ModelReference | None = None,
) -> Dataset:
    """Write lesions as a measurement report, atomically.

    Each group has the lesion's tracking identifiers, its finding and site, its segment, and each
    figure that could be measured with its UCUM unit and expected error. A figure that could not be
    measured is never written as zero: an evaluation of its name says so instead (CID 42). What the
    reader decided is an evaluation too; the reader's notes are not written.

    Parameters
    ----------
    table : LesionTable
        The lesions.
    plan : SegmentPlan
        By :func:`~napari_medcnn.io.dicom_objects.segments.segments_by_lesion`.
    segmentation : Dataset
        What was written of `plan`.
    volume : Volume
        The image that was measured.
    source : SourceImages
        The files that it came from.
    path : Path
        The file.
    model : ModelReference, optional
        What found the lesions.

    Raises
    ------
    WriteError
        When the images lack what a report needs, or the file cannot be written.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = _report(table, plan, segmentation, volume, source, model)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise WriteError(f"cannot be written as a report: {error}", source=path) from error
        with replacing(path) as temporary:
            dataset.save_as(temporary, enforce_file_format=True)
    return dataset


def _report(
    table: LesionTable,
    plan: SegmentPlan,
    segmentation: Dataset,
    volume: Volume,
    source: SourceImages,
    model: ModelReference | None,
) -> Dataset:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    groups = [
        _group(table.by_id(segment.lesion_id), segment, segmentation, volume, model)
        for segment in plan.segments
    ]
    content = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=_observer()),
        procedure_reported=getattr(codes.cid100, _PROCEDURES.get(volume.modality, _ANY_PROCEDURE)),
        imaging_measurements=groups,
        title=codes.cid7021.ImagingMeasurementReport,
    )
    dataset = hd.sr.ComprehensiveSR(
        evidence=[segmentation, *_evidence(source)],
        content=content[0],
        series_instance_uid=hd.UID(),
        series_number=SERIES_NUMBER + 2,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=software_version(),
        series_description="Measurements by napari-medcnn",
        is_complete=True,
        coding_schemes=private_scheme(),
    )
    copy_patient_and_study(dataset, source.first)
    return dataset


def _observer() -> Any:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    return hd.sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
            uid=derived_uid(f"{MANUFACTURER} {software_version()}"),
            name=MANUFACTURER,
            manufacturer_name=MANUFACTURER,
            model_name=f"{MANUFACTURER} {software_version()}",
        ),
    )


def _evidence(source: SourceImages) -> list[Dataset]:
    """The source's headers with what highdicom copies of a patient; the real values come later."""
    from pydicom.dataset import Dataset

    found = []
    for header in source.datasets.values():
        item = Dataset()
        copy_patient_and_study(item, header)
        for keyword in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
            item[keyword] = header[keyword]
        item.PatientSex = item.PatientSex if item.PatientSex in ("M", "F", "O") else ""
        found.append(item)
    return found


def _group(
    lesion: Lesion,
    segment: PlannedSegment,
    segmentation: Dataset,
    volume: Volume,
    model: ModelReference | None,
) -> Any:
    import highdicom as hd

    concept = concept_of(segment.name)
    figures = _figures(lesion, volume)
    return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(
            uid=segment.tracking_uid, identifier=segment.tracking_id
        ),
        referenced_segment=hd.sr.ReferencedSegment(
            segmentation.SOPClassUID,
            segmentation.SOPInstanceUID,
            segment.number,
            source_series=hd.sr.SourceSeriesForSegmentation(
                segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID
            ),
        ),
        finding_category=concept.category,
        finding_type=concept.kind,
        finding_sites=_sites(concept),
        algorithm_id=None
        if model is None
        else hd.sr.AlgorithmIdentification(model.title or model.id, model.version or "unknown"),
        measurements=[_measurement(*figure) for figure in figures if figure[2].value is not None],
        qualitative_evaluations=[*_not_measured(figures), *_verdict(lesion)],
    )


def _sites(concept: Concept) -> list[Any] | None:
    import highdicom as hd

    if concept.site is None:
        return None
    return [hd.sr.FindingSite(concept.site, laterality=concept.laterality)]


def _figures(lesion: Lesion, volume: Volume) -> list[_Figure]:
    from pydicom.sr.codedict import codes

    mm = codes.UCUM.Millimeter
    value, unit = _intensity(volume)
    return [
        (codes.SCT.Volume, codes.UCUM.CubicMillimeter, lesion.volume_mm3, None),
        (codes.SCT.LongAxis, mm, lesion.long_axis_mm, None),
        (codes.SCT.ShortAxis, mm, lesion.short_axis_mm, None),
        (codes.SCT.Diameter, mm, lesion.max_diameter_3d_mm, codes.SCT.Maximum),
        (value, unit, lesion.mean, codes.SCT.Mean),
        (value, unit, lesion.sd, codes.SCT.StandardDeviation),
        (value, unit, lesion.minimum, codes.SCT.Minimum),
        (value, unit, lesion.maximum, codes.SCT.Maximum),
    ]


def _not_measured(figures: list[_Figure]) -> list[Any]:
    """An evaluation for each name without a figure.

    A NUM item without a value and with a qualifier would say the same; programs that take the
    first of its values fail over it, highdicom among them.
    """
    import highdicom as hd
    from pydicom.sr.codedict import codes

    names = dict.fromkeys(name for name, _, figure, _ in figures if figure.value is None)
    return [
        hd.sr.QualitativeEvaluation(name, codes.cid42.MeasurementNotAttempted) for name in names
    ]


def _verdict(lesion: Lesion) -> list[Any]:
    import highdicom as hd
    from pydicom.sr.coding import Code

    verdict = lesion.review.verdict
    if verdict is Verdict.UNREVIEWED:
        return []
    value = Code(verdict.value.upper(), PRIVATE_SCHEME, f"{verdict.value.capitalize()} by reader")
    return [hd.sr.QualitativeEvaluation(Code(*VERDICT), value)]


def _measurement(name: Any, unit: Any, figure: Measurement, derivation: Any) -> Any:
    import highdicom as hd

    assert figure.value is not None
    properties = None
    if figure.error is not None:
        error = _rounded(figure.error)
        properties = hd.sr.MeasurementProperties(
            upper_measurement_uncertainty=error, lower_measurement_uncertainty=error
        )
        for item in properties:  # which highdicom makes bare numbers
            item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence = [
                hd.sr.CodedConcept.from_code(unit)
            ]
    return hd.sr.Measurement(
        name=name,
        value=_rounded(figure.value),
        unit=unit,
        derivation=derivation,
        properties=properties,
    )


def _intensity(volume: Volume) -> tuple[Any, Any]:
    """What the image's values are, and their UCUM unit."""
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    if volume.unit == "HU":
        return codes.DCM.AttenuationCoefficient, codes.UCUM.HounsfieldUnit
    if volume.unit == "SUVbw":
        return codes.DCM.Suvbw, codes.UCUM.StandardizedUptakeValueBodyWeight
    if volume.unit == "Bq/mL":
        name = codes.cid7469.NuclearMedicineTomographicActivity
        return name, codes.UCUM.BecquerelsPerMilliliter
    if volume.modality == "MR":
        return codes.cid7469.MRSignalIntensity, codes.UCUM.NoUnits
    return Code("INTENSITY", PRIVATE_SCHEME, "Image intensity"), codes.UCUM.NoUnits


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
