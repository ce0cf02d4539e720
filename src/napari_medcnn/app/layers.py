"""Volumes and segmentations as napari's layer-data tuples, without importing napari.

A layer is placed by ``scale`` and ``translate`` in mm only, because napari cannot slice a rotated
layer in 2D: volumes that share their direction overlap exactly, an oblique one is shown along its
own axes, with a note. A layer's place serves the eye; what is reported comes from
``Volume.geometry``.

Every layer of this package carries ``metadata["medcnn"]``: its ``kind``, the ``volume_id``, and
for image and label layers the ``volume`` itself. That is how a session takes over what a reader
function opened, which cannot know the viewer: the layer keeps the volume alive until a session
adopts it. ``metadata["direction"]`` is ``Geometry.direction``, for the orientation markers.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from napari_medcnn.app.contrast import display_range
from napari_medcnn.app.result import Result
from napari_medcnn.core.errors import GeometryError
from napari_medcnn.core.explanation import Explanation, Method
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Volume

LayerData: TypeAlias = tuple[Any, dict[str, Any], str]

METADATA_KEY = "medcnn"

LABEL_OPACITY = 0.5

UNNAMED_COLOUR = (0.6, 0.6, 0.6, 1.0)
"""Of values that are painted but no label of the model."""

OBLIQUE_NOTE = (
    "Shown along the image's own axes, which are oblique to the patient's; coordinates and "
    "measurements are in patient space."
)


class LayerKind(StrEnum):
    """What a layer of this package shows."""

    IMAGE = "image"
    SEGMENTATION = "segmentation"
    MAP = "map"


MAP_LOOKS: dict[str, tuple[str, float]] = {
    "probability": ("inferno", 1.0),
    "entropy": ("bop blue", 1.0),
    "variance": ("magenta", 0.25),
}
"""Colours of a model's maps, all black at 0 so that they add nothing there, and their largest
value: no probability varies by more than 0.25."""

SIGNED_METHODS: tuple[Method, ...] = ("occlusion", "integrated_gradients")
"""Of explanations, those whose maps can be negative: what speaks against a class."""

FOR_AND_AGAINST = {
    "name": "against and for",
    "colors": ((0.2, 0.7, 1.0, 1.0), (0.0, 0.0, 0.0, 1.0), (1.0, 0.6, 0.1, 1.0)),
}
"""Blue against a class, orange for it; the two are told apart without red and green."""


@dataclass(frozen=True)
class Placement:
    """Where a layer is: scale, translate, units and axis labels, one each for an array axis."""

    scale: tuple[float, ...]
    translate: tuple[float, ...]
    units: tuple[str, ...]
    axis_labels: tuple[str, ...]

    def as_kwargs(self) -> dict[str, Any]:
        """As the keyword arguments of a napari layer."""
        return dict(vars(self))


def placement(volume: Volume, *, with_frames: bool = False) -> Placement:
    """Where a layer on a volume's grid is shown.

    Index ``a`` along an axis is at ``translate + scale * a``: the LPS point's coordinates along
    the grid's own axes. A single slice has the two axes y and x. Without a known spacing the unit
    is the pixel.
    """
    geometry = volume.geometry
    along_axes = np.linalg.solve(geometry.direction, np.asarray(geometry.origin))
    first = 1 if volume.is_2d else 0
    scale = geometry.spacing[first:]
    translate = tuple(float(v) for v in along_axes[first:])
    units = ("mm" if volume.spacing_known else "pixel",) * len(scale)
    labels = ("z", "y", "x")[first:]
    if with_frames and volume.frames is not None:
        return Placement(
            (1.0, *scale), (0.0, *translate), ("pixel", *units), (volume.frames.name, *labels)
        )
    return Placement(scale, translate, units, labels)


def volume_layers(volume: Volume) -> list[LayerData]:
    """The image layer of a volume; a leading axis of frames becomes a slider."""
    kwargs = placement(volume, with_frames=True).as_kwargs()
    kwargs |= {
        "name": volume.name,
        "colormap": "gray",
        "contrast_limits": display_range(volume),
        "interpolation2d": "linear",
        # Plain maximum projection of a head shows its bright rim only.
        "rendering": "attenuated_mip",
        "metadata": _metadata(volume, LayerKind.IMAGE, notes=display_notes(volume)),
    }
    return [(_shown(volume, volume.array), kwargs, "image")]


def segmentation_layer(segmentation: Segmentation | Result, volume: Volume) -> LayerData:
    """The labels layer of a segmentation; it shares the array, so painting changes the result.

    Parameters
    ----------
    segmentation : Segmentation or Result
        Of a session or of its own.
    volume : Volume
        What was segmented.
    """
    own: dict[str, Any] = {}
    name = f"{volume.name}: labels"
    if isinstance(segmentation, Result):
        own = {"result_id": segmentation.id}
        name = segmentation.name
        segmentation = segmentation.segmentation
    kwargs = placement(volume).as_kwargs()
    kwargs |= {
        "name": name,
        "opacity": LABEL_OPACITY,
        "colormap": label_colours(segmentation.labels),
        # In 3D lesions lie inside the head, and must be seen through its surface.
        "blending": "translucent_no_depth",
        "features": {
            "index": [label.value for label in segmentation.labels],
            "name": [label.name for label in segmentation.labels],
        },
        "metadata": _metadata(volume, LayerKind.SEGMENTATION, labels=segmentation.labels, **own),
    }
    return _shown(volume, segmentation.array), kwargs, "labels"


def map_layers(result: Result, volume: Volume, names: Collection[str]) -> list[LayerData]:
    """Image layers of a result's maps, hidden at first and added to the image by their colours.

    Parameters
    ----------
    names : collection of str
        Which of ``"probability"``, ``"entropy"`` and ``"variance"``; what the result lacks is left
        out.
    """
    segmentation = result.segmentation
    there = {"probability": segmentation.probability, **segmentation.uncertainty}
    layers: list[LayerData] = []
    for name, (colours, largest) in MAP_LOOKS.items():
        values = there.get(name)
        if values is None or name not in names:
            continue
        kwargs = placement(volume).as_kwargs()
        kwargs |= {
            "name": f"{volume.name}: {name}",
            "colormap": colours,
            "contrast_limits": (0.0, largest),
            "blending": "additive",
            "visible": False,
            "metadata": _metadata(volume, LayerKind.MAP, result_id=result.id),
        }
        layers.append((_shown(volume, values), kwargs, "image"))
    return layers


def explanation_layer(explanation: Explanation, volume: Volume) -> LayerData:
    """The image layer of a map of what spoke for a class, added to the image by its colours.

    Black is 0, where nothing spoke for the class or against it. Maps that can be negative have one
    colour for each sign on a scale that is symmetric around 0.

    Raises
    ------
    GeometryError
        When the map does not lie on the volume's grid.
    """
    if explanation.array.shape != volume.geometry.shape:
        raise GeometryError(
            f"a map of {explanation.array.shape} voxels does not lie on {volume.name}"
        )
    values = explanation.array
    largest = float(np.abs(values).max(initial=0.0)) or 1.0
    signed = explanation.method in SIGNED_METHODS
    of_a_part = {"slice", "lesion"} & explanation.parameters.keys()
    place = f", {explanation.region}" if of_a_part else ""
    kwargs = placement(volume).as_kwargs()
    kwargs |= {
        "name": f"{volume.name}: {explanation.method} of {explanation.label}{place}",
        "colormap": FOR_AND_AGAINST if signed else "inferno",
        "contrast_limits": (-largest if signed else 0.0, largest),
        "blending": "additive",
        "interpolation2d": "linear",
        "metadata": _metadata(
            volume, LayerKind.MAP, explanation=explanation.to_json(), notes=display_notes(volume)
        ),
    }
    return _shown(volume, values), kwargs, "image"


def label_colours(labels: tuple[Label, ...]) -> dict[int | None, tuple[float, ...]]:
    """RGBA of every label value, as napari makes a direct colour map of; None is any other."""
    colours: dict[int | None, tuple[float, ...]] = {None: UNNAMED_COLOUR, 0: (0.0,) * 4}
    return colours | {label.value: (*label.colour, 1.0) for label in labels}


def display_notes(volume: Volume) -> tuple[str, ...]:
    """What someone who looks at the layer should know."""
    notes = tuple(finding.text for finding in volume.findings)
    if volume.geometry.is_oblique or volume.geometry.is_sheared:
        notes += (OBLIQUE_NOTE,)
    return notes


def _metadata(volume: Volume, kind: LayerKind, **own: Any) -> dict[str, Any]:
    mine = {"kind": kind.value, "volume_id": volume.id, "volume": volume, **own}
    return {METADATA_KEY: mine, "direction": volume.geometry.direction}


def _shown(volume: Volume, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A view of the array with the axes that are shown."""
    flat = array[..., 0, :, :] if volume.is_2d else array
    return flat.view(np.uint8) if flat.dtype == bool else flat
