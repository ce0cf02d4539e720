"""What a training shows in the viewer: example predictions, augmented patches, and opened cases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Layer
from napari.viewer import Viewer

from napari_medcnn.app.layers import label_colours, segmentation_layer
from napari_medcnn.core.events import Preview
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.gui.foreign_labels import OWN_LAYERS
from napari_medcnn.gui.train_jobs import Patches, SeenCase, class_labels, lps
from napari_medcnn.gui.view_access import camera_of
from napari_medcnn.gui.viewer_state import ViewerState
from napari_medcnn.training.job import TrainJob
from napari_medcnn.training.steps import is_of_pictures

NAMES = {"image": "Training: image", "truth": "Training: truth", "prediction": "Training: example"}
FRAME_SHARE = 0.9
PATCH_IMAGE, PATCH_LABELS = "Augmented patches", "Augmented labels"


class TrainLayers:
    """Layers of one viewer that are updated in place, so that nothing piles up."""

    def __init__(self, state: ViewerState) -> None:
        self._state = state
        self._opened: dict[tuple[int, str], str] = {}

    def show_preview(self, preview: Preview, job: TrainJob) -> None:
        """Show an example of a run: its image, its truth, or what the network says by now."""
        array = np.load(Path(preview.path), allow_pickle=False)
        if not is_of_pictures(job):
            array = lps(array)
        spacing = preview.spacing_mm or (1.0, 1.0, 1.0)
        viewer = self._state.viewer
        if preview.what == "image":
            is_new = NAMES["image"] not in viewer.layers
            layer = self._show_image(NAMES["image"], array, spacing)
            if is_new and layer is not None:
                for other in viewer.layers:
                    other.visible = other is layer
                frame(viewer, layer)
        else:
            layer = self._show_labels(
                NAMES[preview.what], array, spacing, class_labels(job.manifest)
            )
            if preview.what == "truth" and layer is not None:
                layer.contour = 1

    def show_patches(self, patches: Patches, job: TrainJob) -> None:
        """Show augmented patches side by side."""
        self._show_image(PATCH_IMAGE, patches.image, patches.spacing_mm)
        if patches.labels is not None:
            labels = class_labels(job.manifest)
            self._show_labels(PATCH_LABELS, patches.labels, patches.spacing_mm, labels)
        viewer = self._state.viewer
        for layer in viewer.layers:
            if layer.name not in (PATCH_IMAGE, PATCH_LABELS):
                layer.visible = False
        frame(viewer, viewer.layers[PATCH_IMAGE])

    def show_case(self, case: SeenCase) -> None:
        """Show a case with its truth, and with a prediction where there is one."""
        viewer, state = self._state.viewer, self._state
        state.add_volumes(case.volumes)
        volume = case.volumes[0]
        if case.truth is not None:
            self._show_segmentation(f"{case.id}: truth", case.truth, volume, contour=0)
        if case.prediction is not None:
            self._show_segmentation(f"{case.id}: prediction", case.prediction, volume, contour=1)
        layer = state.image_layer(volume.id)
        for other in viewer.layers:
            other.visible = other is layer or other.name.startswith(f"{case.id}: ")
        if layer is not None:
            frame(viewer, layer)

    # ------------------------------------------------------------------------------------------

    def _show_segmentation(
        self, name: str, segmentation: Segmentation, volume: Volume, *, contour: int
    ) -> None:
        layer = self._named(name, segmentation.array.shape[-2:])
        if layer is not None:
            self._state.viewer.layers.remove(layer)
        data, keywords, _ = segmentation_layer(segmentation, volume)
        added = self._state.viewer.add_labels(data, **{**keywords, "name": name})
        added.contour = contour

    def _show_image(
        self, name: str, array: npt.NDArray[Any], spacing: Sequence[float]
    ) -> Layer | None:
        layer = self._named(name, array.shape)
        low, high = (float(v) for v in np.percentile(array, (0.5, 99.5)))
        limits = (low, high if high > low else low + 1.0)
        if layer is not None:
            layer.data, layer.contrast_limits, layer.scale = array, limits, tuple(spacing)
            return layer
        return self._state.viewer.add_image(
            array, name=name, contrast_limits=limits, **_placed(spacing)
        )

    def _show_labels(
        self, name: str, array: npt.NDArray[Any], spacing: Sequence[float], labels: Sequence[Label]
    ) -> Layer | None:
        array = array.astype(np.uint8)
        layer = self._named(name, array.shape)
        if layer is not None:
            layer.data, layer.scale = array, tuple(spacing)
            return layer
        layer = self._state.viewer.add_labels(
            array, name=name, colormap=label_colours(tuple(labels)), opacity=0.5, **_placed(spacing)
        )
        layer.editable = False
        return layer

    def _named(self, name: str, shape: Sequence[int]) -> Layer | None:
        """The layer of this name, if it can take an array of this shape."""
        layers = self._state.viewer.layers
        if name not in layers:
            return None
        if layers[name].ndim >= len(shape):
            return layers[name]
        layers.remove(name)
        return None


def frame(viewer: Viewer, layer: Layer) -> None:
    """Show the middle of one layer, whatever else is open."""
    low, high = np.asarray(layer.extent.world)
    dims, camera = viewer.dims, camera_of(viewer)
    padding = (0.0,) * (dims.ndim - layer.ndim)
    dims.point = (*padding, *((low + high) / 2))
    shown = [axis - dims.ndim for axis in dims.displayed]
    size = np.maximum((high - low)[shown], 1e-6)
    camera.center = tuple(((low + high) / 2)[shown])
    canvas = np.asarray(viewer.canvas.size, dtype=float)
    camera.zoom = FRAME_SHARE * float(np.min(canvas / size[-2:]))


def _placed(spacing: Sequence[float]) -> dict[str, Any]:
    return {
        "scale": tuple(spacing),
        "units": ("mm",) * len(spacing),
        "axis_labels": ("z", "y", "x"),
        "metadata": {OWN_LAYERS: True},
    }
