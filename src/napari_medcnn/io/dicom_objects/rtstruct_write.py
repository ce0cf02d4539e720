"""DICOM structure sets (RTSTRUCT): closed contours on the planes of the source, in LPS mm."""

from __future__ import annotations

import warnings
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.atomic import replacing
from napari_medcnn.core.errors import WriteError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.segmentation import ModelReference
from napari_medcnn.core.volume import Volume
from napari_medcnn.io.dicom_objects.codes import concept_of
from napari_medcnn.io.dicom_objects.contours import outlines
from napari_medcnn.io.dicom_objects.equipment import (
    MANUFACTURER,
    SERIES_NUMBER,
    copy_patient_and_study,
    software_version,
)
from napari_medcnn.io.dicom_objects.segments import PlannedSegment, SegmentPlan, titles_fit
from napari_medcnn.io.dicom_objects.source import SourceImages

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_RTSTRUCT_CLASS = "1.2.840.10008.5.1.4.1.1.481.3"
_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"  # Detached Study Management, as RT objects name a study
_LABEL_LENGTH = 64
_MM3_PER_CM3 = 1000


def write_rtstruct(
    plan: SegmentPlan,
    volume: Volume,
    source: SourceImages,
    path: Path,
    *,
    model: ModelReference | None = None,
) -> Dataset:
    """Write segments as the regions of a structure set, atomically.

    Contours lie on the planes of the source's slices, half-way between marked and other voxels;
    holes are keyholed, see :func:`~napari_medcnn.io.dicom_objects.contours.outlines`. On a volume
    that was resampled while reading they lie on its planes and name no single image.

    Parameters
    ----------
    plan : SegmentPlan
        Segments on the grid of `volume`.
    volume : Volume
        The image; one frame.
    source : SourceImages
        The files that it came from.
    path : Path
        The file.
    model : ModelReference, optional
        What made the segments; None where people drew them.

    Returns
    -------
    Dataset
        What was written.

    Raises
    ------
    WriteError
        When the images have no place in the patient, or the file cannot be written.
    """
    if not source.in_space:
        raise WriteError(
            "the image has no place in the patient, which contours need",
            source=path,
            hint="write a DICOM segmentation instead",
        )
    labels, geometry = volume.on_source_grid(plan.array)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = _structure_set(source)
        _add_regions(dataset, plan, source, model)
        _add_contours(dataset, plan, labels, geometry, source)
        with replacing(path) as temporary:
            dataset.save_as(temporary, enforce_file_format=True)
    return dataset


def _structure_set(source: SourceImages) -> Dataset:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ImplicitVRLittleEndian, generate_uid

    now = datetime.now()
    dataset = Dataset()
    dataset.SOPClassUID = _RTSTRUCT_CLASS
    dataset.SOPInstanceUID = generate_uid()
    copy_patient_and_study(dataset, source.first)
    dataset.Modality = "RTSTRUCT"
    dataset.SeriesInstanceUID = generate_uid()
    dataset.SeriesNumber = SERIES_NUMBER + 3
    dataset.SeriesDescription = "Contours by napari-medcnn"
    dataset.SeriesDate = dataset.StructureSetDate = f"{now:%Y%m%d}"
    dataset.SeriesTime = dataset.StructureSetTime = f"{now:%H%M%S}"
    dataset.InstanceCreationDate = dataset.StructureSetDate
    dataset.InstanceCreationTime = dataset.StructureSetTime
    dataset.InstanceNumber = 1
    dataset.OperatorsName = ""
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = MANUFACTURER
    dataset.SoftwareVersions = software_version()
    dataset.StructureSetLabel = "SEGMENTATION"
    dataset.ApprovalStatus = "UNAPPROVED"
    dataset.FrameOfReferenceUID = source.frame_of_reference_uid
    dataset.PositionReferenceIndicator = source.first.get("PositionReferenceIndicator") or ""
    dataset.ReferencedFrameOfReferenceSequence = [_referenced_frame(source)]
    dataset.file_meta = FileMetaDataset()
    # With explicit types a contour of more than 64 KiB is no Decimal String any more.
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def _referenced_frame(source: SourceImages) -> Dataset:
    """The frame of reference, the study, the series and every image of it."""
    from pydicom.dataset import Dataset

    series = Dataset()
    series.SeriesInstanceUID = source.first.SeriesInstanceUID
    series.ContourImageSequence = [_image_reference(source, name) for name in source.datasets]
    study = Dataset()
    study.ReferencedSOPClassUID = _STUDY_CLASS
    study.ReferencedSOPInstanceUID = source.first.StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    frame = Dataset()
    frame.FrameOfReferenceUID = source.frame_of_reference_uid
    frame.RTReferencedStudySequence = [study]
    return frame


def _image_reference(source: SourceImages, name: str, number: int = 0) -> Dataset:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.ReferencedSOPClassUID = source.datasets[name].SOPClassUID
    item.ReferencedSOPInstanceUID = source.datasets[name].SOPInstanceUID
    if number and not source.is_single_frame(name):
        item.ReferencedFrameNumber = number
    return item


def _add_regions(
    dataset: Dataset, plan: SegmentPlan, source: SourceImages, model: ModelReference | None
) -> None:
    from pydicom.dataset import Dataset

    counts = np.bincount(plan.array.ravel(), minlength=len(plan.segments) + 1)
    voxel_cm3 = source.geometry.voxel_volume_mm3 / _MM3_PER_CM3
    titles = titles_fit(plan.segments, _LABEL_LENGTH)
    regions, observations = [], []
    for segment in plan.segments:
        region = Dataset()
        region.ROINumber = segment.number
        region.ReferencedFrameOfReferenceUID = source.frame_of_reference_uid
        region.ROIName = titles[segment.number]
        region.ROIGenerationAlgorithm = "MANUAL" if model is None else "AUTOMATIC"
        region.ROIVolume = f"{counts[segment.number] * voxel_cm3:.6g}"
        if model is not None:
            region.ROIGenerationDescription = f"{model.id} {model.version}"[:_LABEL_LENGTH]
        regions.append(region)
        observations.append(_observation(segment, titles[segment.number]))
    dataset.StructureSetROISequence = regions
    dataset.RTROIObservationsSequence = observations


def _observation(segment: PlannedSegment, title: str) -> Dataset:
    from pydicom.dataset import Dataset

    concept = concept_of(segment.name)
    code = Dataset()
    code.CodeValue = concept.kind.value
    code.CodingSchemeDesignator = concept.kind.scheme_designator
    code.CodeMeaning = concept.kind.meaning
    item = Dataset()
    item.ObservationNumber = segment.number
    item.ReferencedROINumber = segment.number
    item.ROIObservationLabel = title[:16]  # SH
    item.RTROIIdentificationCodeSequence = [code]
    item.RTROIInterpretedType = "ORGAN" if concept.is_organ else ""
    item.ROIInterpreter = ""
    return item


def _add_contours(
    dataset: Dataset,
    plan: SegmentPlan,
    labels: npt.NDArray[Any],
    geometry: Geometry,
    source: SourceImages,
) -> None:
    from pydicom.dataset import Dataset

    by_number: dict[int, list[Dataset]] = {segment.number: [] for segment in plan.segments}
    for plane, stored in enumerate(labels):
        for number in np.unique(stored[stored != 0]):
            for outline in outlines(stored == number):
                contours = by_number[int(number)]
                contour = _contour(outline, plane, geometry, source)
                contour.ContourNumber = len(contours) + 1
                contours.append(contour)
    items = []
    for segment in plan.segments:
        item = Dataset()
        item.ROIDisplayColor = [round(255 * part) for part in segment.colour]
        item.ReferencedROINumber = segment.number
        # Without any contour the sequence is absent: it must not be empty.
        if by_number[segment.number]:
            item.ContourSequence = by_number[segment.number]
        items.append(item)
    dataset.ROIContourSequence = items


def _contour(
    outline: npt.NDArray[np.float64], plane: int, geometry: Geometry, source: SourceImages
) -> Dataset:
    from pydicom.dataset import Dataset

    index = np.insert(outline, 0, plane, axis=1)
    contour = Dataset()
    contour.ContourGeometricType = "CLOSED_PLANAR"
    contour.NumberOfContourPoints = len(outline)
    contour.ContourData = [f"{v:.4f}" for v in geometry.index_to_lps(index).ravel()]
    if source.slices:
        name, number = source.slices[plane]
        contour.ContourImageSequence = [_image_reference(source, name, number)]
    return contour
