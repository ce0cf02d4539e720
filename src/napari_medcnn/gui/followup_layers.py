"""A registered follow-up in the viewer: on its baseline's grid, in parts of it, and its changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Labels, Layer
from napari.utils.colormaps import DirectLabelColormap

from napari_medcnn.app.contrast import display_range
from napari_medcnn.app.layers import METADATA_KEY, LayerKind, placement
from napari_medcnn.core.change import ChangeClass
from napari_medcnn.core.volume import Volume
from napari_medcnn.gui.change_rows import colours
from napari_medcnn.gui.followup_jobs import CLASS_VALUES, Compared, Registered
from napari_medcnn.gui.foreign_labels import OWN_LAYERS
from napari_medcnn.gui.lesion_focus import keeping_selection
from napari_medcnn.gui.viewer_state import ViewerState

AFTER_OPACITY = 0.45


class Look(StrEnum):
    """What of a registered pair the main view shows."""

    BASELINE = "baseline"
    FOLLOW_UP = "follow-up"
    CHECKERBOARD = "checkerboard"
    SWIPE = "swipe"


class FollowUpLayers:
    """Adds the layers of one pair, and takes them away again.

    None of them is measured or saved: they are interpolated, and only point at something.
    """

    def __init__(self, state: ViewerState) -> None:
        self._state = state
        self._registered: Registered | None = None
        self._aligned: Image | None = None
        self._mixed: Image | None = None
        self._classes: tuple[Labels, ...] = ()
        self._hidden: list[Layer] = []
        self._look, self._share = Look.BASELINE, 0.5
        # A swipe goes along what is the width of the picture now.
        state.viewer.dims.events.order.connect(self._on_order)

    @property
    def before(self) -> tuple[Layer, ...]:
        """The layers of the baseline, from the bottom."""
        if self._registered is None:
            return ()
        image = self._state.image_layer(self._registered.pair.before.id)
        return self._there([image, *self._classes[:1]])

    @property
    def after(self) -> tuple[Layer, ...]:
        """The layers of the follow-up on the baseline's grid, from the bottom."""
        return self._there([self._aligned, *self._classes[1:]])

    def show_registered(self, registered: Registered) -> None:
        """Show a pair in place of the one before; the follow-up's own layers are hidden."""
        self.clear()
        self._registered = registered
        pair, viewer = registered.pair, self._state.viewer
        name = f"{pair.after.name} on {pair.before.name}"
        limits = display_range(pair.after)
        array = registered.aligned.array
        self._aligned = _image(array, pair.before, name, limits)
        self._mixed = _image(array, pair.before, f"{name}: look", limits)
        base = self._state.image_layer(pair.before.id)
        place = len(viewer.layers) if base is None else viewer.layers.index(base) + 1
        with keeping_selection(viewer):
            for layer in (self._mixed, self._aligned):
                viewer.layers.insert(place, layer)
        # What lies on the follow-up's own grid would lie beside the baseline, not on it.
        self._hide([self._state.image_layer(pair.after.id), *self._labels_of(pair.after)])

    def look(self, look: Look, share: float = 0.5) -> None:
        """Show one or the other image, or parts of both.

        Parameters
        ----------
        look : Look
            What is seen.
        share : float
            Of a swipe, the part of the width that the baseline keeps.
        """
        self._look, self._share = look, share
        if self._registered is None:
            return
        for layer, wanted in (
            (self._aligned, look is Look.FOLLOW_UP),
            (self._mixed, look in (Look.CHECKERBOARD, Look.SWIPE)),
        ):
            if layer is not None and layer in self._state.viewer.layers:
                layer.visible = wanted
        if self._mixed is None or self._mixed not in self._state.viewer.layers:
            return
        if look is Look.SWIPE:
            self._swipe(self._mixed, self._registered, share)
        elif look is Look.CHECKERBOARD:
            self._checker(self._mixed, self._registered)

    def show_compared(self, compared: Compared) -> None:
        """Show what became of each lesion: outlined at baseline, filled at follow-up."""
        if self._registered is None:
            return
        viewer, pair = self._state.viewer, self._registered.pair
        self._remove(self._classes)
        self._hide([layer for layer in viewer.layers if isinstance(layer, Labels)])
        names = (compared.found.before.point.name, compared.found.after.point.name)
        before, after = (
            _classes(classes, pair.before, f"{name}: change")
            for classes, name in zip(compared.classes, names, strict=True)
        )
        before.contour, before.opacity, after.opacity = 1, 1.0, AFTER_OPACITY
        self._classes = (before, after)
        with keeping_selection(viewer):
            for layer in (after, before):
                viewer.add_layer(layer)

    def clear(self) -> None:
        """Take the layers away; what was hidden for them is shown again."""
        self._remove([*self._classes, self._mixed, self._aligned])
        for layer in self._hidden:
            if layer in self._state.viewer.layers:
                layer.visible = True
        self._registered = self._aligned = self._mixed = None
        self._classes, self._hidden = (), []

    # ------------------------------------------------------------------------------------------

    def _on_order(self) -> None:
        if self._look is Look.SWIPE:
            self.look(self._look, self._share)

    def _swipe(self, layer: Image, registered: Registered, share: float) -> None:
        """The follow-up right of a line; a part of its array, so that nothing is copied."""
        axis = self._state.viewer.dims.displayed[-1] - self._state.viewer.dims.ndim + 3
        array = registered.aligned.array
        start = min(max(round(share * array.shape[axis]), 0), array.shape[axis] - 1)
        part = [slice(None)] * 3
        part[axis] = slice(start, None)
        place = placement(registered.pair.before)
        translate = np.array(place.translate)
        translate[axis] += start * place.scale[axis]
        layer.data = array[tuple(part)]
        layer.translate = translate
        layer.contrast_limits = display_range(registered.pair.after)

    def _checker(self, layer: Image, registered: Registered) -> None:
        """Cubes of both, each in its own window."""
        layer.data = registered.checkerboard
        layer.translate = placement(registered.pair.before).translate
        layer.contrast_limits = (0.0, 1.0)

    def _labels_of(self, volume: Volume) -> list[Layer | None]:
        results = self._state.session.results_of(volume.id)
        return [self._state.labels_layer(result.id) for result in results]

    def _hide(self, layers: Sequence[Layer | None]) -> None:
        for layer in layers:
            if layer is not None and layer.visible:
                layer.visible = False
                self._hidden.append(layer)

    def _there(self, layers: Sequence[Layer | None]) -> tuple[Layer, ...]:
        known = self._state.viewer.layers
        return tuple(layer for layer in layers if layer is not None and layer in known)

    def _remove(self, layers: Sequence[Layer | None]) -> None:
        for layer in self._there(layers):
            self._state.viewer.layers.remove(layer)


def _image(
    array: npt.NDArray[Any], baseline: Volume, name: str, limits: tuple[float, float]
) -> Image:
    layer = Image(
        array,
        name=name,
        colormap="gray",
        contrast_limits=limits,
        interpolation2d="linear",
        rendering="attenuated_mip",
        visible=False,
        metadata=_metadata(baseline),
        **placement(baseline).as_kwargs(),
    )
    layer.editable = False
    return layer


def _classes(classes: npt.NDArray[np.uint8], baseline: Volume, name: str) -> Labels:
    layer = Labels(
        classes,
        name=name,
        colormap=DirectLabelColormap(color_dict=_class_colours(colours())),
        blending="translucent_no_depth",
        features={"index": list(CLASS_VALUES.values()), "name": [k.value for k in CLASS_VALUES]},
        metadata=_metadata(baseline),
        **placement(baseline).as_kwargs(),
    )
    layer.editable = False
    return layer


def _class_colours(named: Mapping[ChangeClass, str]) -> dict[int | None, str]:
    return {None: "transparent", 0: "transparent"} | {
        value: named[kind] for kind, value in CLASS_VALUES.items()
    }


def _metadata(baseline: Volume) -> dict[str, Any]:
    mine = {"kind": LayerKind.MAP.value, "volume_id": baseline.id}
    return {METADATA_KEY: mine, OWN_LAYERS: True, "direction": baseline.geometry.direction}
