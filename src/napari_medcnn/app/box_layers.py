"""Detections as napari's layer-data tuples: an outline a slice, and a point in the middle."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_medcnn.app.layers import LayerData, placement
from napari_medcnn.core.detection import Detection, Detections
from napari_medcnn.core.volume import Volume
from napari_medcnn.imaging.box_sections import section_of, slices_of

BOXES_KEY = "medcnn boxes"
"""Key of a layer's metadata that names the detections it shows."""

MIDDLES = "middles of boxes"


def box_layers(detections: Detections, volume: Volume, key: str, name: str) -> list[LayerData]:
    """A Shapes layer and a Points layer, both with a row of features for what they hold.

    napari shows a shape in 2D on its own slice only, so a box is one outline a slice; they share
    the box's number in ``features["box"]``.

    Parameters
    ----------
    key : str
        What :data:`BOXES_KEY` holds.
    name : str
        Of the layers.
    """
    place = placement(volume).as_kwargs()
    outlines, kinds, rows = [], [], []
    for box in detections.boxes:
        corners = box.corners_on(volume.geometry)
        for index in slices_of(corners, 0, volume.geometry.shape[0]):
            outline = section_of(corners, 0, index)
            if outline is not None:
                outlines.append(np.column_stack([np.full(len(outline), float(index)), outline]))
                kinds.append("rectangle" if len(outline) == 4 else "polygon")
                rows.append(box)
    colours = [_colour(detections, box) for box in rows]
    shapes: dict[str, Any] = {
        **place,
        "name": name,
        "ndim": 3,
        "shape_type": kinds or "rectangle",
        "edge_color": colours or "red",
        "edge_width": float(min(volume.geometry.spacing)) / max(place["scale"]) * 0.8,
        "face_color": "transparent",
        "features": _features(rows),
        "metadata": {BOXES_KEY: key},
    }
    middles = [volume.geometry.lps_to_index(box.centre_lps_mm) for box in detections.boxes]
    points: dict[str, Any] = {
        **place,
        "name": f"{name}: {MIDDLES}",
        "ndim": 3,
        "size": 3.0,
        "face_color": [_colour(detections, box) for box in detections.boxes] or "red",
        "border_color": "transparent",
        "features": _features(list(detections.boxes)),
        "text": {"string": "{score:.2f}", "size": 9, "color": "yellow", "anchor": "upper_left"},
        "out_of_slice_display": False,
        "metadata": {BOXES_KEY: key},
    }
    return [
        (outlines or None, shapes, "shapes"),
        (np.array(middles).reshape(-1, 3), points, "points"),
    ]


def _features(boxes: list[Detection]) -> dict[str, Any]:
    sizes = np.array([box.size_mm for box in boxes], dtype=np.float64).reshape(-1, 3)
    return {
        "box": np.array([box.id for box in boxes], dtype=np.int64),
        "score": np.array([box.score for box in boxes], dtype=np.float64),
        "label": np.array([box.label_name for box in boxes], dtype=object),
        "size_z_mm": sizes[:, 0],
        "size_y_mm": sizes[:, 1],
        "size_x_mm": sizes[:, 2],
    }


def _colour(detections: Detections, box: Detection) -> tuple[float, ...]:
    return (*detections.label_of(box.label).colour, 1.0)
