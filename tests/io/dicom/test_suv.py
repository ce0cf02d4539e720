"""PET becomes SUV by body weight where its tags allow it, and says why where they do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_medcnn.core.volume import Volume
from napari_medcnn.io.read import read
from tests.io.dicom.series_factory import PET_TAGS, places_along, save_slices, tracer
from tests.io.io_files import oblique

GRID = oblique((3, 5, 6))
STORED = np.arange(90, dtype=np.int16).reshape(3, 5, 6)
AN_HOUR = 2 ** (3600 / 6586.2)


def pet(folder: Path, item: dict[str, Any] | None = None, **tags: Any) -> Volume:
    told = {**PET_TAGS, "RadiopharmaceuticalInformationSequence": tracer(**(item or {})), **tags}
    places = places_along(GRID, [0, 3, 6])
    save_slices(folder, places, GRID, STORED, RescaleSlope="50", RescaleIntercept="0",
                **{k: v for k, v in told.items() if v is not None})  # fmt: skip
    (volume,) = read(folder)
    return volume


@pytest.mark.parametrize(
    ("item", "tags", "factor"),
    [
        ({}, {}, 70e3 / 350e6 * AN_HOUR),
        ({}, {"DecayCorrection": "ADMIN"}, 70e3 / 350e6),
        ({"RadiopharmaceuticalStartDateTime": "20200102093000.00"}, {},
         70e3 / 350e6 * AN_HOUR**1.5),
        ({"RadiopharmaceuticalStartTime": "233000"}, {"SeriesTime": "003000",
         "AcquisitionTime": "003000"}, 70e3 / 350e6 * AN_HOUR),
        ({}, {"Units": "GML"}, 1.0),
    ],
    ids=["start", "injection", "date and time", "over midnight", "already SUV"],
)  # fmt: skip
def test_suv_by_body_weight(
    item: dict[str, Any], tags: dict[str, Any], factor: float, tmp_path: Path
) -> None:
    volume = pet(tmp_path, item, **tags)
    assert (volume.unit, volume.modality) == ("SUVbw", "PT")
    assert np.allclose(volume.array, STORED * 50 * factor, rtol=1e-5)
    assert not volume.findings
    (plain,) = read(tmp_path, suv=False)
    assert plain.unit == ("g/mL" if factor == 1 else "Bq/mL")
    assert np.allclose(plain.array, STORED * 50)


def test_philips_counts_have_their_own_factor(tmp_path: Path) -> None:
    from pydicom import dcmread

    pet(tmp_path, Units="CNTS")
    for path in tmp_path.iterdir():
        dataset = dcmread(path)
        block = dataset.private_block(0x7053, "Philips PET Private Group", create=True)
        block.add_new(0x00, "DS", "0.0004")
        dataset.save_as(path)
    (volume,) = read(tmp_path)
    assert volume.unit == "SUVbw"
    assert np.allclose(volume.array, STORED * 50 * 0.0004)


@pytest.mark.parametrize(
    ("item", "tags", "reason"),
    [
        ({}, {"PatientWeight": None}, "weight"),
        ({"RadionuclideTotalDose": None}, {}, "dose"),
        ({"RadionuclideTotalDose": "350"}, {}, "dose"),
        ({"RadionuclideHalfLife": None}, {}, "half-life"),
        ({"RadiopharmaceuticalStartTime": None}, {}, "times"),
        ({"RadiopharmaceuticalStartDateTime": "20191202093000"}, {}, "times"),
        ({}, {"CorrectedImage": ["NORM"]}, "corrected"),
        ({}, {"DecayCorrection": "NONE"}, "decay correction"),
        ({}, {"SeriesTime": "120000"}, "times"),
        ({}, {"Units": "CNTS"}, "counts"),
        ({}, {"Units": "GML", "SUVType": "LBM"}, "LBM"),
    ],
)
def test_values_stay_and_the_reason_is_told(
    item: dict[str, Any], tags: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    volume = pet(tmp_path, item, **tags)
    assert volume.unit != "SUVbw"
    assert np.allclose(volume.array, STORED * 50)
    (finding,) = volume.findings
    assert finding.code == "suv-unknown"
    assert reason in finding.text


def test_a_real_pet_in_grams_per_millilitre_is_suv(shared_data: Path) -> None:
    volumes = read(shared_data / "sarcoma" / "dicom" / "STS_025" / "PET" / "image")
    assert [v.unit for v in volumes] == ["SUVbw"]
    assert 1 < volumes[0].array.max() < 100
