"""The classes, functions and arguments of ``monai.apps.detection`` that a bundle may name."""

from __future__ import annotations

from collections.abc import Mapping

NETWORK = "RetinaNet"
"""The detection network of the table."""

NETWORK_ARGUMENTS = frozenset(
    {"spatial_dims", "num_classes", "num_anchors", "feature_extractor", "size_divisible",
     "use_list_output"}
)  # fmt: skip

FEATURE_EXTRACTOR = "resnet_fpn_feature_extractor"

_RESNET = (
    "spatial_dims", "n_input_channels", "conv1_t_size", "conv1_t_stride", "no_max_pool",
    "shortcut_type", "widen_factor", "num_classes", "feed_forward", "bias_downsample", "act",
    "norm",
)  # fmt: skip

BACKBONES: Mapping[str, tuple[str, ...]] = {
    "ResNet": ("block", "layers", "block_inplanes", *_RESNET),
    **dict.fromkeys(
        ("resnet10", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet200"),
        ("pretrained", "progress", *_RESNET),
    ),
}
"""Backbones of ``monai.networks.nets`` and their parameters in their order."""

CALLS: Mapping[str, tuple[str, ...]] = {
    **BACKBONES,
    FEATURE_EXTRACTOR: (
        "backbone", "spatial_dims", "pretrained_backbone", "returned_layers",
        "trainable_backbone_layers",
    ),
}  # fmt: skip
"""Functions of MONAI that a line (``$monai...(...)``) may call as the whole expression.

None is called here: such a line stands for a component with these arguments."""

DETECTOR = "RetinaNetDetector"

DETECTOR_ARGUMENTS = frozenset(
    {"network", "anchor_generator", "debug", "spatial_dims", "num_classes", "size_divisible",
     "cls_key", "box_reg_key"}
)  # fmt: skip

ANCHORS: Mapping[str, frozenset[str]] = {
    "AnchorGenerator": frozenset({"sizes", "aspect_ratios", "indexing"}),
    "AnchorGeneratorWithAnchorShape": frozenset(
        {"feature_map_scales", "base_anchor_shapes", "indexing"}
    ),
}
"""Anchor generators and their arguments."""

DETECTOR_CALLS: Mapping[str, tuple[str, ...]] = {
    "set_box_coder_weights": ("weights",),
    "set_box_selector_parameters": (
        "score_thresh", "topk_candidates_per_level", "nms_thresh", "detections_per_img",
        "apply_sigmoid",
    ),
    "set_sliding_window_inferer": (
        "roi_size", "sw_batch_size", "overlap", "mode", "sigma_scale", "padding_mode", "cval",
        "sw_device", "device", "progress", "cache_roi_weight_map",
    ),
    "set_target_keys": ("box_key", "label_key"),
}  # fmt: skip
"""Methods of the detector that ``detector_ops`` may name, with their parameters in order."""

INFERER = "RetinaNetInferer"
"""The inferer that the model zoo's detection bundles bring in their own files: known by its name
and its arguments; no file of the bundle is opened."""

INFERER_ARGUMENTS = frozenset({"detector", "force_sliding_window"})

POSTPROCESSING: Mapping[str, frozenset[str]] = {
    "AffineBoxToWorldCoordinated": frozenset(
        {"box_keys", "box_ref_image_keys", "image_meta_key", "image_meta_key_postfix",
         "affine_lps_to_ras"}
    ),
    "ClipBoxToImaged": frozenset({"box_keys", "label_keys", "box_ref_image_keys", "remove_empty"}),
    "ConvertBoxModed": frozenset({"box_keys", "src_mode", "dst_mode"}),
    "ConvertBoxToStandardModed": frozenset({"box_keys", "mode"}),
    "DeleteItemsd": frozenset({"sep", "use_re"}),
    "EnsureTyped": frozenset({"data_type", "dtype", "track_meta"}),
    "ToTensord": frozenset({"dtype", "track_meta"}),
}  # fmt: skip
"""Steps after the detector. Boxes are clipped by the detector already, are given in space by this
package's own geometry, and every table says what its columns are: what a step tells is which
coordinates the boxes have."""

STANDARD_MODES = (None, "xyzxyz", "StandardMode", "CornerCornerModeTypeA")
"""Names of the one form in which MONAI's detector gives its boxes."""
