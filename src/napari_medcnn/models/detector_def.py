"""From the lines of a detection bundle to the detector's settings, its windows and box axes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.config import Config
from napari_medcnn.models.detection_vocabulary import (
    ANCHORS,
    DETECTOR,
    DETECTOR_ARGUMENTS,
    DETECTOR_CALLS,
    INFERER,
    INFERER_ARGUMENTS,
    NETWORK,
    POSTPROCESSING,
    STANDARD_MODES,
)
from napari_medcnn.models.detector import BoxCoordinates, Detector
from napari_medcnn.models.steps import Windows, flat, windows_of
from napari_medcnn.models.vocabulary import LOADING, SAVING, arguments, class_name

_NETWORKS = ("@network", "@network_def")


def is_detection(config: Config) -> bool:
    """Whether a configuration has a detector, or a network that is of no use without."""
    return "detector" in config or config.network_class().rpartition(".")[2] == NETWORK


def read_detector(
    config: Config, network: Mapping[str, Any], stated_coordinates: Any = None
) -> tuple[Detector, Windows]:
    """The settings of a bundle's detector, and the windows that it slides.

    Parameters
    ----------
    network : dict
        As :func:`~napari_medcnn.models.retinanet_def.read_retinanet` gives it.
    stated_coordinates : str, optional
        ``medcnn.box_coordinates`` of the metadata, in place of what the postprocessing tells.

    Raises
    ------
    ModelError
        When a line asks to run code, names what is not in the table, or values contradict each
        other.
    """
    raw = config.raw("detector")
    if class_name(raw, "detector") != DETECTOR:
        raise ModelError(f"detector asks for {raw['_target_']}; known here: {DETECTOR}")
    _only(raw, DETECTOR_ARGUMENTS, "detector")
    if raw.get("network", _NETWORKS[0]) not in _NETWORKS:
        raise ModelError("detector#network is none of @network and @network_def")
    stated = {k: config.value(f"detector#{k}") for k in raw if k[0] != "_" and k != "network"}
    detector = Detector(
        anchors=_anchors(stated.get("anchor_generator"), network),
        size_divisible=network["size_divisible"],
        box_coordinates=_box_coordinates(config, stated_coordinates),
        always_windows=_always_windows(config),
        class_key=str(stated.get("cls_key", Detector.class_key)),
        box_key=str(stated.get("box_reg_key", Detector.box_key)),
    )
    if stated.get("num_classes", network["num_classes"]) != network["num_classes"]:
        raise ModelError("detector and network differ in num_classes")
    return _with_calls(detector, config)


def _with_calls(detector: Detector, config: Config) -> tuple[Detector, Windows]:
    """The detector after its ``detector_ops``, of which none is run."""
    windows = Windows(overlap=0.0)
    lines = config.raw("detector_ops") if "detector_ops" in config else []
    for number in range(len(lines) if isinstance(lines, list) else 1):
        place = f"detector_ops#{number}" if isinstance(lines, list) else "detector_ops"
        method, given = config.method(place, "detector", DETECTOR_CALLS)
        if method == "set_sliding_window_inferer":
            windows = windows_of(given)
        elif method == "set_box_coder_weights":
            detector = replace(detector, coder_weights=_weights(given.get("weights"), place))
        elif method == "set_box_selector_parameters":
            detector = _selecting(detector, given, place)
    return detector, windows


def _selecting(detector: Detector, given: Mapping[str, Any], place: str) -> Detector:
    try:
        chosen = replace(
            detector,
            score_threshold=float(given.get("score_thresh", detector.score_threshold)),
            candidates_per_level=int(
                given.get("topk_candidates_per_level", detector.candidates_per_level)
            ),
            nms_overlap=float(given.get("nms_thresh", detector.nms_overlap)),
            most_boxes=int(given.get("detections_per_img", detector.most_boxes)),
            apply_sigmoid=bool(given.get("apply_sigmoid", True)),
        )
    except (TypeError, ValueError) as error:
        raise ModelError(f"{place}: the values make no sense: {error}") from error
    shares = (chosen.score_threshold, chosen.nms_overlap)
    if not all(0 <= share <= 1 for share in shares) or chosen.candidates_per_level < 1:
        raise ModelError(f"{place}: the values make no sense: {dict(given)}")
    if chosen.most_boxes < 1:
        raise ModelError(f"{place}: detections_per_img is {chosen.most_boxes}")
    return chosen


def _anchors(component: Any, network: Mapping[str, Any]) -> dict[str, Any]:
    """The anchor generator, held against the network's anchors and levels."""
    place = "detector#anchor_generator"
    given = {k: v for k, v in arguments(component, ANCHORS, place).items() if v is not None}
    name = class_name(component, place)
    by_shape = name == "AnchorGeneratorWithAnchorShape"
    try:
        if by_shape:
            levels = len(given["feature_map_scales"])
            count = len(given["base_anchor_shapes"])
            lengths = itertools.chain.from_iterable(given["base_anchor_shapes"])
            numbers = [*given["feature_map_scales"], *lengths]
            three = all(len(shape) == 3 for shape in given["base_anchor_shapes"])
        else:
            levels, first = len(given["sizes"]), given["sizes"][0]
            ratios = given["aspect_ratios"][0]
            count = (len(first) if isinstance(first, list) else 1) * len(ratios)
            numbers = [1]
            three = all(len(ratio) == 2 for ratio in ratios)
        sound = all(float(number) > 0 for number in numbers) and three
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ModelError(f"{place}: the sizes of the anchors make no sense: {error}") from error
    if not sound or given.get("indexing", "ij") not in ("ij", "xy"):
        raise ModelError(f"{place}: the sizes of the anchors make no sense: {given}")
    if count != network["num_anchors"]:
        raise ModelError(
            f"the network has {network['num_anchors']} anchors at each place, the anchor "
            f"generator {count}"
        )
    there = len(network["returned_layers"]) + 1
    if levels != there:
        raise ModelError(f"the network has {there} levels, the anchor generator {levels}")
    return {"_target_": name, **given}


def _weights(value: Any, place: str) -> tuple[float, ...]:
    values = value if isinstance(value, list | tuple) else []
    if len(values) != 6 or not all(isinstance(v, int | float) and v > 0 for v in values):
        raise ModelError(f"{place}: the box coder takes six positive weights")
    return tuple(float(v) for v in values)


def _always_windows(config: Config) -> bool:
    """What the inferer of the bundle says; it is known by its name and never opened."""
    if "inferer" not in config:
        return False
    raw = config.raw("inferer")
    target = raw.get("_target_") if isinstance(raw, Mapping) else None
    if str(target).rpartition(".")[2] != INFERER:
        raise ModelError(f"inferer asks for {target}; a detector's inferer is {INFERER}")
    _only(raw, INFERER_ARGUMENTS, "inferer")
    if "force_sliding_window" not in raw:
        return False
    return bool(config.value("inferer#force_sliding_window"))


def _box_coordinates(config: Config, stated: Any) -> BoxCoordinates:
    """What 0 means along a box's axis.

    ``AffineBoxToWorldCoordinated`` multiplies a box by the image's affine, whose 0 is a voxel's
    centre. Without it boxes are as MONAI draws them around masks: from face to face.
    """
    to_world = False
    for place, component in flat(config, "postprocessing") if "postprocessing" in config else ():
        name = class_name(component, place)
        if name in SAVING or name in LOADING:
            continue
        given = arguments(
            {**component, "keys": None}, POSTPROCESSING, place
        )  # these steps name their keys in many ways, and none of them matters here
        modes = {given.get("src_mode"), given.get("mode")}
        if not modes <= set(STANDARD_MODES):
            raise ModelError(f"{place}: boxes come as xyzxyz, not as {given}")
        to_world = to_world or name == "AffineBoxToWorldCoordinated"
    if stated is None:
        return "centres" if to_world else "edges"
    for known in get_args(BoxCoordinates):
        if stated == known:
            coordinates: BoxCoordinates = known
            return coordinates
    raise ModelError(f"medcnn.box_coordinates is {stated!r}, neither centres nor edges")


def _only(component: Mapping[str, Any], known: frozenset[str], place: str) -> None:
    unknown = sorted(k for k in component if not k.startswith("_") and k not in known)
    if unknown:
        raise ModelError(f"{place}: the arguments {', '.join(unknown)} are not supported")
