"""Ask why a model answered as it did: method, class, layer, place; the map becomes a layer."""

from __future__ import annotations

from dataclasses import replace

from napari.layers import Layer
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_medcnn.app.case_lesions import LesionChoice
from napari_medcnn.app.explanation_case import ExplanationRequest
from napari_medcnn.app.layers import METADATA_KEY, LayerKind, explanation_layer
from napari_medcnn.app.result import Result
from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.explanation import MEANING, METHODS, Explanation, Method
from napari_medcnn.core.lesion import LesionTable
from napari_medcnn.core.volume import Volume
from napari_medcnn.gui.classify_jobs import ExplainRequest
from napari_medcnn.gui.lesion_focus import keeping_selection
from napari_medcnn.gui.lesion_sources import LesionSources
from napari_medcnn.gui.notices import WrappedLabel, sentence
from napari_medcnn.gui.slice_steps import slice_at
from napari_medcnn.gui.viewer_state import ViewerState
from napari_medcnn.inference.explain_layers import Layer as NetworkLayer
from napari_medcnn.inference.explain_options import (
    CHECK_SEEDS,
    ExplainOptions,
    require_explainable,
)
from napari_medcnn.models.spec import ModelSpec

WORDS: dict[Method, str] = {
    "gradcam": "Grad-CAM",
    "gradcam++": "Grad-CAM++",
    "occlusion": "occlusion",
    "integrated_gradients": "integrated gradients",
}
LIKELIEST = "the likeliest"
USUAL_LAYER = "the usual one"
OWN_ANSWER = "where the model sees it"
CAUTION = (
    "The map shows what would change this score most. It is not where a disease is, and a map on "
    "the right place does not prove that the answer is right."
)


class ExplainPanel(QWidget):
    """The form of an explanation, and what it came to in words.

    Attributes
    ----------
    asked, layers_asked : Signal
        The user wants a map; the layers of the network.
    """

    asked = Signal()
    layers_asked = Signal()

    def __init__(self, state: ViewerState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._spec: ModelSpec | None = None
        self.method = QComboBox()
        self.target = QComboBox()
        self.layer = QComboBox()
        self.list_layers = QPushButton("List")
        self.region = LesionSources(state, OWN_ANSWER)
        self.lesion = QComboBox()
        self._result_id = ""
        self.check = QCheckBox("Check against fresh weights")
        self.explain = QPushButton("Explain")
        self.words = WrappedLabel(parent=self)
        self._lay_out()
        self._explain_fields()
        self.method.currentIndexChanged.connect(self._suit)
        self.list_layers.clicked.connect(self.layers_asked)
        self.explain.clicked.connect(self.asked)
        state.session.volume_removed.connect(self._on_volume_removed)
        state.session.result_changed.connect(self._on_result_changed)
        self._suit()

    def show_model(self, spec: ModelSpec | None) -> None:
        """Offer the classes of another model."""
        if spec == self._spec:
            return
        self._spec = spec
        names = [] if spec is None else [label.name for label in spec.labels]
        with QSignalBlocker(self.target):
            self.target.clear()
            if spec is not None and spec.task == "classification":
                self.target.addItem(LIKELIEST, None)
            for name in names:
                self.target.addItem(name, name)
        self.show_layers(())
        self._suit()

    def show_layers(self, layers: tuple[NetworkLayer, ...]) -> None:
        """Offer the layers of the network; the usual one is chosen."""
        with QSignalBlocker(self.layer):
            self.layer.clear()
            self.layer.addItem(USUAL_LAYER, None)
            for layer in layers:
                size = " × ".join(str(n) for n in layer.shape)
                usual = ", the usual one" if layer.is_default else ""
                self.layer.addItem(f"{layer.name} ({size}{usual})", layer.name)

    def show_lesions(self, result: Result | None) -> None:
        """Offer the lesions of a result to a model that sees patches around them."""
        before = self.lesion.currentData()
        self._result_id = "" if result is None else result.id
        self.lesion.clear()
        for lesion in () if result is None else result.table.lesions:
            self.lesion.addItem(f"{lesion.id}: {lesion.label_name}", lesion.id)
        self.choose_lesion(before)

    def choose_lesion(self, number: int | None) -> None:
        """Choose a lesion by its id; one that is not there leaves the choice as it is."""
        place = self.lesion.findData(number)
        if place >= 0:
            self.lesion.setCurrentIndex(place)

    def request(self, volumes: tuple[Volume, ...], axis: int, device: str) -> ExplainRequest:
        """What is chosen, for a run.

        Parameters
        ----------
        volumes : tuple of Volume
            One a channel.
        axis : int
            Of ``(z, y, x)``: a network of pictures sees the slice along it that the viewer is at,
            or that goes through the lesion.
        device : str
            Where it runs.

        Raises
        ------
        InputMismatch
            When it cannot be explained.
        """
        spec = self._spec
        if spec is None:
            raise InputMismatch("no model is chosen")
        require_explainable(spec)
        method: Method = self.method.currentData()
        segments = spec.task == "segmentation"
        asked = ExplanationRequest(
            method,
            target=self.target.currentData(),
            layer=self.layer.currentData() if _looks_into_layers(method) else None,
            options=ExplainOptions(
                device=device, check_seeds=CHECK_SEEDS if self.check.isChecked() else ()
            ),
        )
        if spec.patch is not None:
            asked = replace(asked, lesion=LesionChoice(self._lesion(), axis))
            return ExplainRequest(volumes, spec, asked, None, self._result_id, self._table())
        asked = replace(asked, picture=self._picture(spec, volumes[0], axis))
        region = self.region.segmentation() if segments else None
        return ExplainRequest(volumes, spec, asked, region)

    def show_explanation(self, explanation: Explanation, volume: Volume) -> None:
        """Add the map as a layer over the image, and say what it is."""
        viewer = self._state.viewer
        layer = Layer.create(*explanation_layer(explanation, volume))
        with keeping_selection(viewer):
            viewer.add_layer(layer)
        self.words.show_text(explanation_text(explanation, layer.name))

    # ------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        for method in METHODS:
            self.method.addItem(WORDS[method], method)
        for choice in (self.method, self.target, self.layer, self.lesion):
            choice.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
            choice.setMinimumContentsLength(8)
        self._layer_row = QWidget()
        row = QHBoxLayout(self._layer_row)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.layer, 1)
        row.addWidget(self.list_layers)
        self._form = QFormLayout()
        self._form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        self._form.addRow("Method", self.method)
        self._form.addRow("Class", self.target)
        self._form.addRow("Layer", self._layer_row)
        self._form.addRow("Score", self.region)
        self._form.addRow("Lesion", self.lesion)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(self._form)
        for widget in (self.check, self.explain, self.words):
            layout.addWidget(widget)

    def _explain_fields(self) -> None:
        self.target.setToolTip("Whose score is explained")
        self.layer.setToolTip("The network's layer that Grad-CAM looks into")
        self.list_layers.setToolTip("Load the network and list its layers")
        self.region.setToolTip("Over which voxels the score of the class is averaged")
        self.lesion.setToolTip("The lesion around which the model sees a patch")
        self.check.setToolTip(
            "Make the same map with fresh weights, three times: if it looks alike, it shows the "
            "image and not what was learnt"
        )
        self.explain.setToolTip("Make a map of what spoke for the class, as a layer")

    def _suit(self) -> None:
        method: Method = self.method.currentData()
        spec = self._spec
        self.method.setToolTip(sentence(MEANING[method]))
        self._form.setRowVisible(self._layer_row, _looks_into_layers(method))
        segments = spec is not None and spec.task == "segmentation"
        self._form.setRowVisible(self.region, segments)
        self._form.setRowVisible(self.lesion, spec is not None and spec.patch is not None)

    def _lesion(self) -> int:
        number: int | None = self.lesion.currentData()
        if number is None:
            raise InputMismatch(
                "there is no lesion to explain",
                hint="choose whose lesions above; press Classify first for a layer that was drawn",
            )
        return number

    def _table(self) -> LesionTable:
        """The lesions as they are now."""
        session = self._state.session
        result = session.results[self._result_id]
        return session.recompute(result.id) if result.is_stale else result.table

    def _on_result_changed(self, result_id: str) -> None:
        if result_id == self._result_id:
            self.show_lesions(self._state.session.results[result_id])

    def _picture(self, spec: ModelSpec, volume: Volume, axis: int) -> tuple[int, int] | None:
        """The slice that a network of pictures sees of a volume."""
        layer = self._state.image_layer(volume.id)
        if not spec.of_pictures or volume.is_2d or layer is None:
            return None
        return axis, slice_at(self._state.viewer, layer, axis)

    def _on_volume_removed(self, volume_id: str) -> None:
        layers = self._state.viewer.layers
        for layer in [la for la in layers if _explains(la, volume_id)]:
            layers.remove(layer)
        self.words.show_text("")


def explanation_text(explanation: Explanation, layer_name: str) -> str:
    """An explanation in words: what was asked, what the map's values are, and the check."""
    looked = f", layer {explanation.layer}" if explanation.layer else ""
    check = explanation.check
    asked = f"{WORDS[explanation.method]} of {explanation.label}{looked}"
    score = f"score {explanation.score:.3g}, {explanation.region}"
    lines = (
        sentence(f"{asked}: {score}. Shown as '{layer_name}'"),
        f"A value is {MEANING[explanation.method]}.",
        sentence(f"fresh weights: {check.reason}")
        if check is not None
        else "Not checked against fresh weights.",
        CAUTION,
    )
    return "\n".join(lines)


def _looks_into_layers(method: Method) -> bool:
    return method.startswith("gradcam")


def _explains(layer: Layer, volume_id: str) -> bool:
    mine = layer.metadata.get(METADATA_KEY, {})
    of_volume = mine.get("kind") == LayerKind.MAP and mine.get("volume_id") == volume_id
    return of_volume and "explanation" in mine
