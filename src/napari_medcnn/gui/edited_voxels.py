"""Show which voxels of a label map the reader added or erased."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap
from napari.utils.theme import get_theme
from napari.viewer import Viewer

from napari_medcnn.app.result import Result
from napari_medcnn.gui.foreign_labels import OWN_LAYERS
from napari_medcnn.gui.lesion_focus import keeping_selection

ADDED, ERASED, RELABELLED = 1, 2, 3
MEANING = {ADDED: "added", ERASED: "erased", RELABELLED: "other label"}


def difference(result: Result) -> npt.NDArray[np.uint8]:
    """``(z, y, x)``: 0 as predicted, :data:`ADDED`, :data:`ERASED` or :data:`RELABELLED`."""
    now, predicted = result.segmentation.array, result.predicted
    edits = np.zeros(now.shape, dtype=np.uint8)
    changed = now != predicted
    edits[changed] = RELABELLED
    edits[changed & (predicted == 0)] = ADDED
    edits[changed & (now == 0)] = ERASED
    return edits


class EditedVoxels:
    """A Labels layer with the difference between what was predicted and what is drawn now."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._layer: Labels | None = None

    @property
    def is_shown(self) -> bool:
        """Whether the layer is there."""
        return self._layer is not None and self._layer in self._viewer.layers

    def show(self, result: Result, drawn_on: Labels) -> None:
        """Show a result's edits as outlines over the layer that they were drawn on."""
        edits = difference(result)
        if drawn_on.ndim == 2:
            edits = edits[0]
        shown = self._layer if self.is_shown else None
        if shown is not None and shown.data.shape == edits.shape:
            shown.data = edits
            return
        self.hide()
        theme = get_theme(self._viewer.theme)
        colours = {
            None: (0.0, 0.0, 0.0, 0.0),
            0: (0.0, 0.0, 0.0, 0.0),
            ADDED: theme.current.as_hex(),
            ERASED: theme.error.as_hex(),
            RELABELLED: theme.warning.as_hex(),
        }
        with keeping_selection(self._viewer):
            self._layer = self._viewer.add_labels(
                edits,
                name=f"Edited voxels of {result.name}",
                colormap=DirectLabelColormap(color_dict=colours),
                features={
                    "index": [0, *MEANING],
                    "edit": ["as predicted", *MEANING.values()],
                },
                scale=drawn_on.scale,
                translate=drawn_on.translate,
                units=drawn_on.units,
                axis_labels=drawn_on.axis_labels,
                metadata={OWN_LAYERS: True},
                opacity=0.9,
            )
            self._layer.editable = False

    def hide(self) -> None:
        """Take the layer away."""
        if self.is_shown:
            self._viewer.layers.remove(self._layer)
        self._layer = None
