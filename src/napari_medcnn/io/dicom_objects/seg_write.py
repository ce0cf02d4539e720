"""DICOM segmentations (SEG), BINARY and LABELMAP, by highdicom, on the planes of the source."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.atomic import replacing
from napari_medcnn.core.errors import WriteError
from napari_medcnn.core.segmentation import ModelReference
from napari_medcnn.core.volume import Volume
from napari_medcnn.io.dicom_objects.codes import concept_of
from napari_medcnn.io.dicom_objects.colours import cielab_of
from napari_medcnn.io.dicom_objects.equipment import (
    ALWAYS_PRESENT,
    MANUFACTURER,
    NO_SERIAL,
    SERIES_NUMBER,
    algorithm,
    copy_patient_and_study,
    private_scheme,
    software_version,
)
from napari_medcnn.io.dicom_objects.segments import PlannedSegment, SegmentPlan, titles_fit
from napari_medcnn.io.dicom_objects.source import SourceImages

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_POSITION_DECIMALS = 8
_BITS = 8


def write_seg(
    plan: SegmentPlan,
    volume: Volume,
    source: SourceImages,
    path: Path,
    *,
    labelmap: bool = False,
    model: ModelReference | None = None,
) -> Dataset:
    """Write segments as one DICOM segmentation, atomically.

    Every plane that holds something names the source frame under it. A volume that was resampled
    while reading is written on the resampled grid and names the source series as a whole.

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
    labelmap : bool
        LABELMAP (one plane for all segments) instead of BINARY (one frame for each segment).
    model : ModelReference, optional
        What made the segments; None where people drew them.

    Returns
    -------
    Dataset
        What was written, for a report that refers to it.

    Raises
    ------
    WriteError
        When the images lack what a segmentation needs, or the file cannot be written.
    """
    with warnings.catch_warnings():
        # highdicom warns of names without a caret and the like, which the source brought.
        warnings.simplefilter("ignore")
        try:
            dataset = _segmentation(plan, volume, source, labelmap, model)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise WriteError(
                f"cannot be written as a DICOM segmentation: {error}",
                source=path,
                hint="write .seg.nrrd or .nii.gz instead",
            ) from error
        with replacing(path) as temporary:
            dataset.save_as(temporary, enforce_file_format=True)
    return dataset


def _segmentation(
    plan: SegmentPlan,
    volume: Volume,
    source: SourceImages,
    labelmap: bool,
    model: ModelReference | None,
) -> Dataset:
    import highdicom as hd

    labels, _ = volume.on_source_grid(plan.array)
    first = source.first
    places = _places(source) if source.in_space else {}
    dataset = hd.seg.Segmentation(
        source_images=[_anchor(source)],
        pixel_array=np.ascontiguousarray(labels),
        segmentation_type="LABELMAP" if labelmap else "BINARY",
        segment_descriptions=_descriptions(plan.segments, model),
        series_instance_uid=hd.UID(),
        series_number=SERIES_NUMBER + labelmap,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=software_version(),
        device_serial_number=NO_SERIAL,
        content_label="SEGMENTATION",
        content_description="Segmentation",
        series_description="Segmentation by napari-medcnn",
        coding_schemes=private_scheme(),
        **places,
    )
    copy_patient_and_study(dataset, first)
    plane_of = _plane_finder(places)
    _refer(dataset, source, plane_of)
    if not labelmap and labels[0].size < _BITS:
        dataset.PixelData = _packed(dataset, labels, plane_of)
    return dataset


def _anchor(source: SourceImages) -> Dataset:
    """One plain image that stands for the source, without values that highdicom would refuse.

    Patient, study and references to the real images are set afterwards.
    """
    from pydicom.dataset import Dataset
    from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage

    anchor, first = Dataset(), source.first
    for keyword in ALWAYS_PRESENT:
        setattr(anchor, keyword, "")
    anchor.SOPClassUID = CTImageStorage if source.in_space else SecondaryCaptureImageStorage
    anchor.SOPInstanceUID = first.SOPInstanceUID
    anchor.SeriesInstanceUID = first.SeriesInstanceUID
    anchor.StudyInstanceUID = first.StudyInstanceUID
    anchor.SpecificCharacterSet = first.get("SpecificCharacterSet", "ISO_IR 192")
    anchor.Modality = first.get("Modality", "OT")
    anchor.LossyImageCompression = first.get("LossyImageCompression") or "00"
    _, anchor.Rows, anchor.Columns = source.geometry.shape
    anchor.PixelSpacing = [1.0, 1.0]
    anchor.SliceThickness = 1.0
    if source.in_space:
        anchor.FrameOfReferenceUID = source.frame_of_reference_uid
        anchor.PositionReferenceIndicator = first.get("PositionReferenceIndicator", "")
        anchor.ImagePositionPatient = [0.0, 0.0, 0.0]
        anchor.ImageOrientationPatient = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    return anchor


def _places(source: SourceImages) -> dict[str, Any]:
    """Positions, orientation and size of the planes, as the source's headers or the grid say."""
    import highdicom as hd

    geometry = source.geometry
    spacing, direction = geometry.spacing, geometry.direction
    positions = [hd.PlanePositionSequence("PATIENT", position) for position in _positions(source)]
    return {
        "plane_positions": positions,
        "plane_orientation": hd.PlaneOrientationSequence(
            "PATIENT", [float(v) for v in (*direction[:, 2], *direction[:, 1])]
        ),
        "pixel_measures": hd.PixelMeasuresSequence(
            pixel_spacing=(spacing[1], spacing[2]),
            slice_thickness=spacing[0],
            spacing_between_slices=spacing[0],
        ),
    }


def _positions(source: SourceImages) -> list[list[float]]:
    """LPS mm of each plane's first pixel: where it came from a classic file, that file's own."""
    count = source.geometry.shape[0]
    index = np.zeros((count, 3))
    index[:, 0] = np.arange(count)
    regular = np.round(source.geometry.index_to_lps(index), _POSITION_DECIMALS).tolist()
    if not source.slices:
        return [list(point) for point in regular]
    own = [
        source.datasets[name].ImagePositionPatient if source.has_plane(name) else point
        for (name, _), point in zip(source.slices, regular, strict=True)
    ]
    return [[float(v) for v in point] for point in own]


def _descriptions(segments: tuple[PlannedSegment, ...], model: ModelReference | None) -> list[Any]:
    import highdicom as hd

    identification = algorithm(model)
    titles = titles_fit(segments)
    descriptions = []
    for segment in segments:
        concept = concept_of(segment.name)
        description = hd.seg.SegmentDescription(
            segment_number=segment.number,
            segment_label=titles[segment.number],
            segmented_property_category=concept.category,
            segmented_property_type=concept.kind,
            algorithm_type="MANUAL" if model is None else "AUTOMATIC",
            algorithm_identification=identification,
            tracking_uid=segment.tracking_uid or None,
            tracking_id=segment.tracking_id or None,
            anatomic_regions=[concept.site] if concept.site and not concept.is_organ else None,
        )
        description.RecommendedDisplayCIELabValue = cielab_of(segment.colour)
        if concept.laterality is not None:
            side = hd.sr.CodedConcept.from_code(concept.laterality)
            description.SegmentedPropertyTypeCodeSequence[
                0
            ].SegmentedPropertyTypeModifierCodeSequence = [side]
        descriptions.append(description)
    return descriptions


def _refer(dataset: Dataset, source: SourceImages, plane_of: Callable[[Dataset], int]) -> None:
    """Name the source: every instance in the header, and the frame under each plane."""
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    instances = []
    for header in source.datasets.values():
        item = Dataset()
        item.ReferencedSOPClassUID = header.SOPClassUID
        item.ReferencedSOPInstanceUID = header.SOPInstanceUID
        instances.append(item)
    dataset.SourceImageSequence = Sequence(instances)
    series = Dataset()
    series.SeriesInstanceUID = source.first.SeriesInstanceUID
    series.ReferencedInstanceSequence = Sequence(instances)
    dataset.ReferencedSeriesSequence = Sequence([series])
    made = [_derivation(source, plane) for plane in range(len(source.slices))]
    for group in dataset.PerFrameFunctionalGroupsSequence:
        if made:
            group.DerivationImageSequence = Sequence([made[plane_of(group)]])
        elif "DerivationImageSequence" in group:
            del group.DerivationImageSequence


def _packed(
    dataset: Dataset, labels: npt.NDArray[Any], plane_of: Callable[[Dataset], int]
) -> bytes:
    """Frames of fewer than eight pixels without padding between them; highdicom 0.28 pads them."""
    from pydicom.pixels.utils import pack_bits

    masks = []
    for group in dataset.PerFrameFunctionalGroupsSequence:
        segment = group.get("SegmentIdentificationSequence")
        number = int(segment[0].ReferencedSegmentNumber) if segment else 1
        masks.append(labels[plane_of(group)] == number)
    return bytes(pack_bits(np.array(masks, dtype=np.uint8)))


def _plane_finder(places: dict[str, Any]) -> Callable[[Dataset], int]:
    """Which plane a frame's groups describe, by its position; the only one without positions."""
    plane_of = {_position(item[0]): n for n, item in enumerate(places.get("plane_positions", ()))}
    if not plane_of:
        return lambda group: 0
    return lambda group: plane_of[_position(group.PlanePositionSequence[0])]


def _position(item: Dataset) -> tuple[float, ...]:
    return tuple(float(v) for v in item.ImagePositionPatient)


def _derivation(source: SourceImages, plane: int) -> Dataset:
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence
    from pydicom.sr.codedict import codes

    name, number = source.slices[plane]
    header = source.datasets[name]
    image = Dataset()
    image.ReferencedSOPClassUID = header.SOPClassUID
    image.ReferencedSOPInstanceUID = header.SOPInstanceUID
    if not source.is_single_frame(name):
        image.ReferencedFrameNumber = number
    image.PurposeOfReferenceCodeSequence = Sequence(
        [_coded(codes.DCM.SourceImageForImageProcessingOperation)]
    )
    image.SpatialLocationsPreserved = "YES" if source.is_plane(name) else "NO"
    item = Dataset()
    item.DerivationCodeSequence = Sequence([_coded(codes.DCM.Segmentation)])
    item.SourceImageSequence = Sequence([image])
    return item


def _coded(code: Any) -> Any:
    import highdicom as hd

    return hd.sr.CodedConcept.from_code(code)
