"""One study of a follow-up: an image layer, and whose lesions belong to it."""

from __future__ import annotations

from napari.layers import Image
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QWidget

from napari_medcnn.app.followup_run import StudyInput
from napari_medcnn.app.result import Result
from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.volume import Volume
from napari_medcnn.gui.classify_jobs import Drawn
from napari_medcnn.gui.followup_jobs import DrawnStudy, input_of
from napari_medcnn.gui.layer_links import is_adoptable, volume_from, volume_id_of, volume_in
from napari_medcnn.gui.lesion_sources import LesionSources
from napari_medcnn.gui.preferences import preferences
from napari_medcnn.gui.viewer_state import ViewerState


class StudyPick(QWidget):
    """A drop-down of images, and one of the lesions of the chosen image.

    Parameters
    ----------
    state : ViewerState
        Of the viewer.
    title : str
        Which study it is.

    Attributes
    ----------
    changed : Signal
        Another image, or other lesions, are chosen.
    """

    changed = Signal()

    def __init__(self, state: ViewerState, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._layers: list[Image] = []
        self.image = QComboBox()
        self.lesions = LesionSources(state)
        self.image.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.image.setMinimumContentsLength(10)
        self.image.setAccessibleName(f"{title}: image")
        self.image.setToolTip(f"The image of the {title.lower()}")
        self.lesions.setAccessibleName(f"{title}: lesions")
        self.lesions.setToolTip(f"Whose lesions are those of the {title.lower()}")
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow(title, self.image)
        form.addRow("Lesions", self.lesions)
        self.image.currentIndexChanged.connect(self._on_image)
        self.lesions.changed.connect(self.changed)

    @property
    def layer(self) -> Image | None:
        """The chosen image layer."""
        index = self.image.currentIndex()
        return self._layers[index] if 0 <= index < len(self._layers) else None

    def choose(self, layer: Image | None) -> None:
        """Choose another image."""
        if layer in self._layers:
            self.image.setCurrentIndex(self._layers.index(layer))

    def list_images(self, avoid: Image | None = None) -> None:
        """Offer the images that are open now; what was chosen stays, else the first but `avoid`."""
        before = self.layer
        self._layers = [la for la in self._state.viewer.layers if _is_choosable(la)]
        others = [la for la in self._layers if la is not avoid]
        wanted = before if before in self._layers else next(iter(others), None)
        with QSignalBlocker(self.image):
            self.image.clear()
            for layer in self._layers:
                self.image.addItem(layer.name)
            if not self._layers:
                self.image.addItem("no image is open")
            elif wanted is None:
                self.image.setCurrentIndex(-1)  # the only image is the other study's
            else:
                self.image.setCurrentIndex(self._layers.index(wanted))
            self.image.setEnabled(bool(self._layers))
        self._on_image()

    def preview(self) -> Volume | None:
        """The chosen image; nothing is taken over yet."""
        layer = self.layer
        if layer is None:
            return None
        return self._state.volume_of(layer) or volume_in(layer) or volume_from(layer)

    def volume(self) -> Volume:
        """The chosen image, of the session from now on.

        Raises
        ------
        InputMismatch
            When none is chosen, or the layer holds no grey-value image.
        """
        layer = self.layer
        if layer is None:
            raise InputMismatch("no image is chosen", hint="open one in the Load panel")
        return self._state.adopt(layer)

    def study(self, name: str, day: float | None) -> StudyInput | DrawnStudy:
        """The chosen image with its lesions as they are now.

        Raises
        ------
        InputMismatch
            When there are none, or a layer does not fit the image.
        """
        volume, source = self.volume(), self.lesions.source
        if isinstance(source, Result):
            if source.is_stale:
                self._state.session.recompute(source.id)
            return input_of(source, volume, name, day)
        segmentation = self.lesions.segmentation()
        if source is None or segmentation is None:
            raise InputMismatch(
                f"there are no lesions of {volume.name}",
                hint="find them in the Analyze panel, or draw them on a Labels layer",
            )
        layer_name = source.name
        title = layer_name if layer_name.startswith(volume.name) else f"{volume.name}: {layer_name}"
        least = preferences().min_volume_for(0.0)
        return DrawnStudy(name, volume, Drawn(segmentation, least, title), day)

    def _on_image(self) -> None:
        self.lesions.show_volume(self.preview())


def _is_choosable(layer: object) -> bool:
    return isinstance(layer, Image) and (volume_id_of(layer) is not None or is_adoptable(layer))
