"""Factors from a PET series' values to SUV by body weight, where its tags allow them.

After the vendor-neutral pseudo-code of QIBA's FDG-PET/CT profile: decay correction to the start of
the scan or to the injection, weight in kg as grams, and Philips' own factor for counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_medcnn.core.volume import Finding, Severity
from napari_medcnn.io.dicom.guarded import BoundedReader
from napari_medcnn.io.dicom.header import FrameHeader
from napari_medcnn.io.dicom.moments import seconds
from napari_medcnn.io.dicom.tag_values import first_item, number, private

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SUV_UNIT = "SUVbw"

LONGEST_UPTAKE_S = 24 * 3600.0
"""A scan longer after the injection has wrong or shifted dates."""

_LEAST_DOSE_BQ = 1e5
"""Less is no dose in Bq: some write MBq where the standard says Bq."""

_PHILIPS = "PHILIPS PET PRIVATE GROUP"

_TAGS: list[Any] = [
    "Units", "SUVType", "CorrectedImage", "DecayCorrection", "PatientWeight", "SeriesDate",
    "SeriesTime", "RadiopharmaceuticalInformationSequence", "Manufacturer",
    0x70530010, 0x70531000, 0x70531009, 0x00090010, 0x0009100D,
]  # fmt: skip


@dataclass(frozen=True)
class SuvScale:
    """``SUVbw = value * factor``; `reason` says why there is none where `factor` is None."""

    factor: float | None
    reason: str = ""

    @property
    def finding(self) -> Finding:
        """What to say of values that stay as they were."""
        text = f"PET values could not be turned into SUV: {self.reason}."
        return Finding("suv-unknown", Severity.WARNING, text)


def suv_scale(frames: list[FrameHeader]) -> SuvScale:
    """The factor of a PET series; tags that need the patient are read here and not kept."""
    import pydicom

    with BoundedReader(frames[0].path) as stream:
        dataset = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=_TAGS, force=True)
    units = str(dataset.get("Units") or "").upper()
    kind = str(dataset.get("SUVType") or "BW").upper()
    if units == "GML":
        # SUV Type is body weight where it is absent (PS3.3 C.8.9.1).
        return SuvScale(1.0) if kind == "BW" else SuvScale(None, f"they are SUV of type {kind}")
    if units == "CNTS":
        factor = number(private(dataset, 0x7053, _PHILIPS, 0x00))
        if factor:
            return SuvScale(factor)
        to_becquerel = number(private(dataset, 0x7053, _PHILIPS, 0x09))
        if not to_becquerel:
            return SuvScale(None, "counts without the vendor's factor")
        scale = _from_activity(dataset, frames)
        return SuvScale(None if scale.factor is None else scale.factor * to_becquerel, scale.reason)
    if units != "BQML":
        return SuvScale(None, f"their unit is {units or 'not told'}")
    return _from_activity(dataset, frames)


def _from_activity(dataset: Dataset, frames: list[FrameHeader]) -> SuvScale:
    corrections = str(dataset.get("CorrectedImage") or "").upper()
    if "ATTN" not in corrections or "DEC" not in corrections:
        return SuvScale(None, "they are not corrected for attenuation and decay")
    weight_kg = number(dataset.get("PatientWeight"))
    tracer = first_item(dataset, "RadiopharmaceuticalInformationSequence")
    dose = number(tracer[0].get("RadionuclideTotalDose")) if tracer else None
    if not weight_kg or weight_kg < 0:
        return SuvScale(None, "the patient's weight is not told")
    if not dose or dose < _LEAST_DOSE_BQ:
        return SuvScale(None, "the injected dose is not told in Bq")
    decay = str(dataset.get("DecayCorrection") or "").upper()
    if decay == "ADMIN":
        return SuvScale(weight_kg * 1000 / dose)
    if decay != "START":
        return SuvScale(None, "the time of the decay correction is not told")
    half_life = number(tracer[0].get("RadionuclideHalfLife"))
    if not half_life or half_life < 0:
        return SuvScale(None, "the nuclide's half-life is not told")
    uptake = _uptake_s(dataset, tracer[0], frames)
    if uptake is None or not 0 <= uptake <= LONGEST_UPTAKE_S:
        return SuvScale(None, "the times of injection and scan are not told or contradict")
    return SuvScale(weight_kg * 1000 / (dose * 2 ** (-uptake / half_life)))


def _uptake_s(dataset: Dataset, tracer: Dataset, frames: list[FrameHeader]) -> float | None:
    """Seconds from the injection to the time to which the values are decay corrected."""
    started = _scan_start(dataset, frames)
    if started is None:
        return None
    moment = str(tracer.get("RadiopharmaceuticalStartDateTime") or "")
    if len(moment) >= 12:
        injected = seconds(moment)
        return None if injected is None else started - injected
    time = seconds(str(tracer.get("RadiopharmaceuticalStartTime") or ""))
    midnight = seconds(str(dataset.get("SeriesDate") or "") + "000000")
    if time is None or midnight is None:
        return None
    uptake = started - midnight - time
    # Injected before midnight, scanned after it.
    return uptake + 24 * 3600 if uptake < 0 else uptake


def _scan_start(dataset: Dataset, frames: list[FrameHeader]) -> float | None:
    """Start of the scan: the series' time, unless the series was made after its acquisition."""
    date = str(dataset.get("SeriesDate") or "")
    series = seconds(date + str(dataset.get("SeriesTime") or "")) if date else None
    acquired = [seconds(frame.order.acquired) for frame in frames]
    known = [moment for moment in acquired if moment is not None]
    if series is None or len(known) < len(frames):
        return None
    if series <= min(known) + 1:
        return series
    ge_start = private(dataset, 0x0009, "GEMS_PETD_01", 0x0D)
    return seconds(str(ge_start)) if ge_start else None
