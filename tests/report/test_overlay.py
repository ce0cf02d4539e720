"""The contact sheet: the right way up, in proportion, readable whatever comes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.geometry import AxisMap, Geometry
from napari_medcnn.core.lesion import LesionTable
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import FrameAxis, Volume
from napari_medcnn.imaging.lesions import find_lesions
from napari_medcnn.io.read import read
from napari_medcnn.report.overlay import write_overlay
from napari_medcnn.report.section import Plane, Stack
from napari_medcnn.report.window import LUNG, SOFT_TISSUE, choose_window


def stack_of(array: np.ndarray, spacing: tuple[float, float, float]) -> Stack:
    whole = tuple(slice(0, n) for n in array.shape)
    return Stack(array, array, array.astype(np.uint32), spacing, whole)


@pytest.mark.parametrize(
    ("plane", "corner"),
    [
        (Plane.AXIAL, (0, 0)),  # right, anterior
        (Plane.CORONAL, (-1, 0)),  # inferior, right
        (Plane.SAGITTAL, (-1, 0)),  # inferior, anterior
    ],
)
def test_the_right_anterior_inferior_corner_is_where_the_letters_say(
    plane: Plane, corner: tuple[int, int]
) -> None:
    array = np.zeros((3, 4, 5), dtype=np.uint8)
    array[0, 0, 0] = 1
    stack = stack_of(array, (2.0, 1.0, 1.5))
    section = stack.section(plane, 0)
    assert section.image[corner] == 1
    right, down = stack.on_section(section, (0, 0, 0))
    height, width = section.size
    assert right < width / 2
    assert (down < height / 2) == (corner[0] == 0)


def test_sections_have_the_proportions_of_the_patient() -> None:
    stack = stack_of(np.zeros((3, 4, 5), dtype=np.uint8), (2.0, 1.0, 1.5))
    sizes = {plane: stack.section(plane, 0).size for plane in Plane}
    assert sizes == {
        Plane.AXIAL: (4.0, 7.5),
        Plane.CORONAL: (6.0, 7.5),
        Plane.SAGITTAL: (6.0, 4.0),
    }


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def coloured(array: np.ndarray, colour: tuple[float, ...]) -> int:
    return int((np.abs(array - np.array(colour) * 255).max(axis=-1) < 60).sum())


def test_lesions_are_outlined_in_their_label_s_colour(
    volume: Volume, segmentation: Segmentation, table: LesionTable, tmp_path: Path
) -> None:
    write_overlay(volume, segmentation, table, tmp_path / "overlay.png")
    image = pixels(tmp_path / "overlay.png")
    for label in segmentation.labels:
        assert 100 < coloured(image, label.colour) < 0.02 * image[..., 0].size


def test_the_picture_does_not_depend_on_the_order_of_axes_in_memory(
    volume: Volume, segmentation: Segmentation, tmp_path: Path
) -> None:
    axes = AxisMap((2, 0, 1), (True, False, True))
    turned = replace(
        volume, array=axes.apply(volume.array), geometry=volume.geometry.reordered(axes)
    )
    turned_labels = replace(
        segmentation, array=axes.apply(segmentation.array), geometry=turned.geometry
    )
    for name, v, s in (("a", volume, segmentation), ("b", turned, turned_labels)):
        write_overlay(v, s, find_lesions(s, v), tmp_path / f"{name}.png")
    a, b = (pixels(tmp_path / f"{name}.png") for name in "ab")
    left_part = slice(0, int(0.74 * a.shape[1]))  # beside it, in-plane axes are listed
    assert (a[:, left_part] == b[:, left_part]).mean() > 0.999


@pytest.mark.parametrize(
    "kind", ["empty", "picture", "no spacing", "flat", "not finite", "oblique"]
)
def test_unusual_input_gives_a_picture(kind: str, tmp_path: Path) -> None:
    shape = (1, 30, 40) if kind == "picture" else (6, 30, 40)
    geometry = Geometry.from_spacing(shape, (4.0, 1.0, 1.0))
    if kind == "oblique":
        turn = np.eye(4)
        turn[:2, :2] = [[0.9, -(0.19**0.5)], [0.19**0.5, 0.9]]
        geometry = Geometry(shape, turn @ geometry.affine)
    array = np.zeros(shape) if kind == "flat" else np.random.default_rng(0).normal(size=shape)
    if kind == "not finite":
        array[0, :5] = np.nan
    labels = np.zeros(shape, dtype=np.uint8)
    if kind != "empty":
        labels[0, 0:6, 3:9] = 1
    volume = Volume(array, geometry, spacing_known=kind not in ("no spacing", "picture"))
    segmentation = Segmentation(labels, geometry, (Label(1, "lesion"),), volume.id)
    write_overlay(volume, segmentation, find_lesions(segmentation, volume), tmp_path / "o.png")
    assert pixels(tmp_path / "o.png").std() > 5


def test_several_frames_are_refused(
    volume: Volume, segmentation: Segmentation, table: LesionTable, tmp_path: Path
) -> None:
    frames = replace(volume, array=np.stack([volume.array] * 2), frames=FrameAxis("echo"))
    with pytest.raises(InputMismatch, match="one frame"):
        write_overlay(frames, segmentation, table, tmp_path / "o.png")


def test_ct_is_shown_in_the_window_of_what_surrounds_the_lesion(
    segmentation: Segmentation, volume: Volume
) -> None:
    for tissue, window in ((-850, LUNG), (40, SOFT_TISSUE)):
        ct = replace(volume, array=np.full_like(volume.array, tissue), modality="CT", unit="HU")
        ct.array[segmentation.array > 0] = 30
        assert choose_window(ct, find_lesions(segmentation, ct).lesions[::-1]) == window


def test_a_real_patient_s_sheet_shows_brain_and_lesions(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "ms_flair" / "patient26"
    volume, labels = (read(folder / f"{name}.nii.gz")[0] for name in ("flair", "lesions"))
    colour = (1.0, 0.3, 0.2)
    segmentation = Segmentation(
        labels.array.astype(np.uint8), volume.geometry, (Label(1, "lesion", colour),), volume.id
    )
    write_overlay(volume, segmentation, find_lesions(segmentation, volume), tmp_path / "o.png")
    image = pixels(tmp_path / "o.png")
    assert coloured(image, colour) > 1000
    assert (image.mean(axis=-1) > 60).mean() > 0.15
