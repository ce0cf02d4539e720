"""The classes and arguments of MONAI that a bundle may name: this table is the whole of it.

A bundle's ``_target_`` is looked up here by its class name; what is not here is not built. The
lists of arguments are those that hold plain values, so that no configuration can hand over code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_medcnn.core.errors import ModelError

NETWORKS: frozenset[str] = frozenset(
    {
        "AttentionUnet",
        "BasicUNet",
        "BasicUNetPlusPlus",
        "DiNTS",
        "DynUNet",
        "HighResNet",
        "MedNeXt",
        "MedNeXtB",
        "MedNeXtL",
        "MedNeXtM",
        "MedNeXtS",
        "SegResNet",
        "SegResNetDS",
        "SwinUNETR",
        "UNETR",
        "UNet",
        "VNet",
    }
)
"""Segmentation networks of ``monai.networks.nets`` that map a window to logits of its own size."""

CLASSIFIERS: Mapping[str, frozenset[str]] = {
    "ClassicCNN": frozenset(
        {"spatial_dims", "in_channels", "out_channels", "spatial_size", "head", "dropout"}
    ),
    "DenseNet": frozenset(
        {"spatial_dims", "in_channels", "out_channels", "init_features", "growth_rate",
         "block_config", "bn_size", "act", "norm", "dropout_prob"}
    ),
    "EfficientNetBN": frozenset(
        {"model_name", "pretrained", "spatial_dims", "in_channels", "num_classes", "norm"}
    ),
    "ResNet": frozenset(
        {"block", "layers", "block_inplanes", "spatial_dims", "n_input_channels", "conv1_t_size",
         "conv1_t_stride", "no_max_pool", "shortcut_type", "widen_factor", "num_classes",
         "bias_downsample", "act", "norm"}
    ),
    "VGG": frozenset(
        {"spatial_dims", "in_channels", "out_channels", "depth", "width", "pooled", "hidden",
         "dropout"}
    ),
}  # fmt: skip
"""Networks that map an image to the logits of its class, with their arguments."""

INPUT_ARGUMENTS = ("in_channels", "n_input_channels")
OUTPUT_ARGUMENTS = ("out_channels", "num_classes")
"""How classes of networks call the number of their inputs and outputs."""

OUR_NETWORKS = "napari_medcnn.models.classic_networks"
"""The module of the package's own networks."""

OUR_CLASSIFIERS: frozenset[str] = frozenset({"ClassicCNN", "VGG"})
"""Those of `CLASSIFIERS` that lie there; the others are of ``monai.networks.nets``."""

NETWORK_PARTS: frozenset[str] = frozenset({"TopologyInstance"})
"""Classes of ``monai.networks.nets`` that a network of `NETWORKS` takes as an argument."""

FORMER_ARGUMENTS: Mapping[str, frozenset[str]] = {
    "SwinUNETR": frozenset({"img_size"}),
    "TopologyInstance": frozenset({"device"}),
}
"""Arguments that never shaped the network and that today's MONAI, or this package, does without."""

OTHER_TASKS: Mapping[str, str] = {
    **dict.fromkeys(
        ("TorchVisionFCModel", "DenseNet", "DenseNet121", "DenseNet169", "DenseNet201", "ResNet",
         "DenseNet264", "EfficientNetBN", "SENet154", "SEResNet50", "SEResNet101", "ViT",
         "MILModel", "Classifier", "ClassicCNN", "VGG", "resnet10", "resnet18", "resnet34",
         "resnet50"),
        "classifies whole images",
    ),
    **dict.fromkeys(
        ("AutoencoderKL", "DiffusionModelUNet", "ControlNet", "VQVAE", "SPADEAutoencoderKL",
         "SPADEDiffusionModelUNet"),
        "makes images",
    ),
    **dict.fromkeys(("RegUNet", "LocalNet", "GlobalNet", "VoxelMorph"), "registers images"),
    "Regressor": "estimates numbers",
    "VISTA3D": "asks the user for points on the way",
    "HoVerNet": "works on microscopy",
}  # fmt: skip
"""Networks of models that do something else than segmentation, and what it is."""

LOADING: frozenset[str] = frozenset({"LoadImaged", "EnsureChannelFirstd", "AddChanneld"})
"""Steps that this package does itself: it hands over an array ``(channel, x, y, z)``."""

SAVING: frozenset[str] = frozenset({"SaveImaged"})
"""Steps that are recognised and never instantiated: results are written by ``io``."""

OUR_TRANSFORMS = "napari_medcnn.inference.transforms"
"""The module of the package's own transforms."""

_KEYS = frozenset({"keys", "allow_missing_keys"})
_WITHOUT_EFFECT = frozenset(
    {
        "device",
        "end_coord_key",
        "ensure_same_shape",
        "meta_key_postfix",
        "meta_keys",
        "non_blocking",
        "start_coord_key",
        "wrap_sequence",
    }
)
"""Arguments of any step that choose a device or name entries that nobody reads; left out."""

PREPROCESSING: Mapping[str, frozenset[str]] = {
    "BorderPadd": frozenset({"spatial_border", "mode"}),
    "CastToTyped": frozenset({"dtype"}),
    "CenterSpatialCropd": frozenset({"roi_size"}),
    "ClipIntensityPercentilesd": frozenset(
        {"lower", "upper", "sharpness_factor", "channel_wise", "dtype"}
    ),
    "CropForegroundd": frozenset(
        {"source_key", "channel_indices", "margin", "allow_smaller", "k_divisible", "mode"}
    ),
    "DivisiblePadd": frozenset({"k", "mode", "method"}),
    "EnsureTyped": frozenset({"data_type", "dtype", "track_meta"}),
    "GaussianSmoothd": frozenset({"sigma", "approx"}),
    "MedianSmoothd": frozenset({"radius"}),
    "NormalizeIntensityd": frozenset({"subtrahend", "divisor", "nonzero", "channel_wise", "dtype"}),
    "Orientationd": frozenset({"axcodes", "as_closest_canonical", "labels"}),
    "ResizeWithPadOrCropd": frozenset({"spatial_size", "mode", "method"}),
    "Resized": frozenset(
        {"spatial_size", "mode", "align_corners", "anti_aliasing", "anti_aliasing_sigma", "dtype"}
    ),
    "ScaleIntensityRangePercentilesd": frozenset(
        {"lower", "upper", "b_min", "b_max", "clip", "relative", "channel_wise", "dtype"}
    ),
    "ScaleIntensityRanged": frozenset({"a_min", "a_max", "b_min", "b_max", "clip", "dtype"}),
    "ScaleIntensityd": frozenset({"minv", "maxv", "factor", "channel_wise", "dtype"}),
    "ShiftIntensityd": frozenset({"offset", "safe"}),
    "SignalFillEmptyd": frozenset({"replacement"}),
    "Spacingd": frozenset(
        {
            "pixdim",
            "diagonal",
            "mode",
            "padding_mode",
            "align_corners",
            "dtype",
            "scale_extent",
            "recompute_affine",
            "min_pixdim",
            "max_pixdim",
        }
    ),
    "SpatialPadd": frozenset({"spatial_size", "method", "mode"}),
    "ThresholdIntensityd": frozenset({"threshold", "above", "cval"}),
    "ToTensord": frozenset({"dtype", "track_meta"}),
    "BrainMaskd": frozenset({"mask_key", "apply"}),
    "CurvatureAnisotropicDiffusiond": frozenset({"iterations", "conductance", "time_step"}),
    "N4BiasCorrectiond": frozenset({"mask_key"}),
    "NormalizeByBrainMediand": frozenset({"mask_key"}),
}
"""Transforms before the network, with their arguments beside ``keys``."""

OURS: frozenset[str] = frozenset(
    {
        "BrainMaskd",
        "CurvatureAnisotropicDiffusiond",
        "N4BiasCorrectiond",
        "NnunetPreprocessd",
        "NormalizeByBrainMediand",
    }
)
"""The package's own transforms; ``NnunetPreprocessd`` stands in no bundle."""

_WINDOWS = frozenset(
    {
        "roi_size",
        "sw_batch_size",
        "overlap",
        "mode",
        "sigma_scale",
        "padding_mode",
        "cval",
        "sw_device",
        "device",
        "progress",
        "cache_roi_weight_map",
        "cpu_thresh",
        "buffer_steps",
        "buffer_dim",
    }
)

INFERERS: Mapping[str, frozenset[str]] = {
    "SimpleInferer": frozenset(),
    "SliceInferer": _WINDOWS | {"spatial_dim"},
    "SlidingWindowInferer": _WINDOWS,
    "SlidingWindowInfererAdapt": _WINDOWS,
}
"""How windows are laid; devices, progress, buffers and caches are this package's choice."""

POSTPROCESSING: Mapping[str, frozenset[str]] = {
    "Activationsd": frozenset({"sigmoid", "softmax"}),
    "AsDiscreted": frozenset({"argmax", "threshold"}),
    "DeleteItemsd": frozenset({"sep", "use_re"}),
    "ToTensord": PREPROCESSING["ToTensord"],
    "EnsureTyped": PREPROCESSING["EnsureTyped"],
    "Invertd": frozenset(
        {
            "transform",
            "orig_keys",
            "meta_keys",
            "orig_meta_keys",
            "meta_key_postfix",
            "nearest_interp",
            "to_tensor",
            "device",
        }
    ),
    "Lambdad": frozenset({"func"}),
    "FillHolesd": frozenset({"applied_labels", "connectivity"}),
    "KeepLargestConnectedComponentd": frozenset(
        {"applied_labels", "is_onehot", "independent", "connectivity", "num_components"}
    ),
    "RemoveSmallObjectsd": frozenset(
        {"min_size", "connectivity", "independent_channels", "by_measure", "pixdim"}
    ),
}
"""Transforms after the network, with their arguments beside ``keys``."""

CLASSIFIER_POSTPROCESSING: Mapping[str, frozenset[str]] = {
    "Activationsd": POSTPROCESSING["Activationsd"],
    "EnsureTyped": POSTPROCESSING["EnsureTyped"],
    "ScaleIntensityd": frozenset({"minv", "maxv", "factor"}),
    "ToTensord": POSTPROCESSING["ToTensord"],
}
"""The same of a network that classifies."""

CLEANUP: frozenset[str] = frozenset(
    {"FillHolesd", "KeepLargestConnectedComponentd", "RemoveSmallObjectsd"}
)
"""Those of `POSTPROCESSING` that work on a finished label map."""

_MARKS = frozenset({"_target_", "_desc_", "_disabled_", "_mode_"})


def class_name(component: Any, key: str) -> str:
    """The class that a component names, without its module; MONAI's ``...Dict`` means ``...d``.

    Raises
    ------
    ModelError
        When it is no component, names nothing of MONAI's or this package's, or holds marks that
        would run more than the class itself.
    """
    if not isinstance(component, Mapping) or not isinstance(component.get("_target_"), str):
        raise ModelError(f"{key} names no class (a dict with _target_ is expected)")
    target: str = component["_target_"]
    module, _, name = target.rpartition(".")
    ours = (OUR_TRANSFORMS, OUR_NETWORKS)
    if module and not (module.split(".")[0] == "monai" or module in ours):
        raise ModelError(f"{key} asks for {target}, which is not in the table of known classes")
    extra = {k for k in component if k.startswith("_")} - _MARKS
    if extra or component.get("_mode_", "default") != "default":
        raise ModelError(f"{key} asks for more than {name}: {', '.join(sorted(extra)) or '_mode_'}")
    for ending in ("Dict", "D"):
        if name.endswith(ending) and f"{name.removesuffix(ending)}d" in _DICTIONARY_TRANSFORMS:
            return f"{name.removesuffix(ending)}d"
    return name


def arguments(
    component: Mapping[str, Any], table: Mapping[str, frozenset[str]], key: str
) -> dict[str, Any]:
    """The arguments of a component, checked against its line of `table`.

    Raises
    ------
    ModelError
        When the class is not in the table or an argument is not in its line.
    """
    name = class_name(component, key)
    if name not in table:
        raise ModelError(
            f"{key} asks for {component['_target_']}, which is not in the table of known classes",
            hint=f"known here: {', '.join(sorted(table))}",
        )
    left_out = _MARKS | _WITHOUT_EFFECT - table[name]
    given = {k: v for k, v in component.items() if k not in left_out and (k != "lazy" or v)}
    unknown = sorted(k for k, v in given.items() if k not in table[name] | _KEYS and v is not None)
    if unknown:
        raise ModelError(f"{key}: the arguments {', '.join(unknown)} of {name} are not supported")
    return {k: v for k, v in given.items() if k in table[name] | _KEYS}


_DICTIONARY_TRANSFORMS = LOADING | SAVING | PREPROCESSING.keys() | POSTPROCESSING.keys()
