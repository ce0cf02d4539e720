"""A measured case in the viewer: its images with its errors, or with what was said of it."""

from __future__ import annotations

from napari_medcnn.app.layers import segmentation_layer
from napari_medcnn.gui.evaluate_jobs import JudgedCase
from napari_medcnn.gui.train_layers import frame
from napari_medcnn.gui.view_access import show_text
from napari_medcnn.gui.viewer_state import ViewerState

OVERLAY = "medcnn_said"
"""The overlay on the canvas that says what a classifier took the picture for."""

_CAPTION_PT = 12


class EvaluateLayers:
    """Shows one case at a time; the errors of the one before leave the viewer with it."""

    def __init__(self, state: ViewerState) -> None:
        self._state = state
        self._names: list[str] = []
        self._volume_id = ""
        state.viewer.layers.events.removed.connect(self._on_removed)

    def show(self, case: JudgedCase, caption: str) -> None:
        """Show a case, and `caption` on the canvas of one that has no errors to see."""
        state, viewer = self._state, self._state.viewer
        self._take_away()
        state.add_volumes(case.volumes)
        volume = case.volumes[0]
        for name, errors in case.errors.items():
            data, keywords, _ = segmentation_layer(errors, volume)
            layer = viewer.add_labels(data, **{**keywords, "name": f"{case.id}: {name}"})
            layer.editable = False
            self._names.append(layer.name)
        image = state.image_layer(volume.id)
        for other in viewer.layers:
            other.visible = other is image or other.name in self._names
        if image is not None:
            frame(viewer, image)
        if case.focus is not None and len(case.focus) == viewer.layers[self._names[0]].ndim:
            self._go_to(self._names[0], case.focus)
        self._volume_id = volume.id
        self._write("" if case.errors else caption)

    def _go_to(self, name: str, voxel: tuple[float, ...]) -> None:
        viewer = self._state.viewer
        world = viewer.layers[name].data_to_world(voxel)
        viewer.dims.point = (*viewer.dims.point[: -len(world)], *world)

    def _take_away(self) -> None:
        viewer = self._state.viewer
        for name in self._names:
            if name in viewer.layers:
                viewer.layers.remove(name)
        self._names = []

    def _on_removed(self, event: object = None) -> None:
        """Without the picture, what was said of it is of nothing."""
        if self._volume_id and self._state.image_layer(self._volume_id) is None:
            self._write("")
            self._volume_id = ""

    def _write(self, caption: str) -> None:
        show_text(self._state.viewer, OVERLAY, caption, "bottom_left", _CAPTION_PT)
