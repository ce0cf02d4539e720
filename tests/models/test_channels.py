from __future__ import annotations

from pathlib import Path

import pytest

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.channels import order_channels
from napari_medcnn.models.spec import ModelSpec
from tests.bundle_factory import make_bundle


@pytest.fixture
def spec(tmp_path: Path) -> ModelSpec:
    names = [{"name": "T1c"}, {"name": "T2"}, {"name": "FLAIR"}]
    return read_bundle(make_bundle(tmp_path / "tiny", channels=3, medcnn={"channels": names}))


def test_images_come_in_the_models_order_whatever_the_case(spec: ModelSpec) -> None:
    assert order_channels(spec, {"flair": 1, "T1C": 2, "t2": 3}) == (2, 3, 1)


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ({"t1c": 1, "t2": 2}, "no image for FLAIR"),
        ({"t1c": 1, "t2": 2, "flare": 3}, r"no channel is called flare \(did you mean FLAIR\?\)"),
        ({"t1c": 1, "t2": 2, "flair": 3, "adc": 4}, "no channel is called adc"),
        ({"t1c": 1, "T1c": 2, "flair": 3}, "two images are for the same channel"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_names(
    spec: ModelSpec, named: dict[str, int], reason: str
) -> None:
    with pytest.raises(InputMismatch, match=reason):
        order_channels(spec, named)
