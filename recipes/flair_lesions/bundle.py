"""The shipped MONAI Bundle: configuration, metadata and weights, written to its folder."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import monai
import numpy as np
import torch
from monai.bundle import ConfigParser

from napari_medcnn.core.atomic import replacing, write_json, write_text
from recipes.flair_lesions.network import NETWORK_ARGUMENTS
from recipes.flair_lesions.training import StateDict

FOLDER = Path(__file__).resolve().parents[2] / "src/napari_medcnn/models/bundles/flair_lesions"
VERSION = "0.1.0"
ROI_SIZE = [96, 96, 96]
OVERLAP = 0.25
THRESHOLD = 0.5
MIN_LESION_VOLUME_MM3 = 10.0
DATA_NOTICES = (Path(__file__).parent / "NOTICES.txt").read_text(encoding="utf-8")
OUR_TRANSFORMS = "napari_medcnn.inference.transforms"

LOAD_WEIGHTS = (
    "$@network.load_state_dict(torch.load(@weights, map_location=@device, weights_only=True))"
)
RUN = (
    "$torch.inference_mode()(lambda network, inferer, device, cases, key, finish: [finish("
    "{**case, 'pred': inferer(case[key][None].to(device), network)[0]}) for case in cases]"
    ")(@network, @inferer, @device, @dataset, @image_key, @postprocessing)"
)
"""MONAI's evaluators need ignite; this runs the same steps with MONAI and torch alone."""


def inference_config() -> dict[str, Any]:
    """The content of ``configs/inference.json``; runs with ``python -m monai.bundle run``."""
    key = {"keys": "@image_key"}
    preprocessing = [
        {"_target_": "LoadImaged", **key},
        {"_target_": "EnsureChannelFirstd", **key},
        {"_target_": "Orientationd", **key, "axcodes": "RAS"},
        {"_target_": f"{OUR_TRANSFORMS}.BrainMaskd", **key},
        {"_target_": f"{OUR_TRANSFORMS}.N4BiasCorrectiond", **key},
        {"_target_": f"{OUR_TRANSFORMS}.NormalizeByBrainMediand", **key},
        {"_target_": "Spacingd", **key, "pixdim": [1.0, 1.0, 1.0], "mode": "bilinear"},
        {
            "_target_": "CropForegroundd",
            **key,
            "source_key": "@image_key",
            "margin": 4,
            "allow_smaller": True,
        },
        {"_target_": "EnsureTyped", **key, "dtype": "$torch.float32"},
    ]
    postprocessing = [
        {"_target_": "Activationsd", "keys": "pred", "sigmoid": True},
        {
            "_target_": "Invertd",
            "keys": "pred",
            "transform": "@preprocessing",
            "orig_keys": "@image_key",
            "nearest_interp": False,
            "to_tensor": True,
        },
        {"_target_": "AsDiscreted", "keys": "pred", "threshold": THRESHOLD},
        {
            "_target_": "SaveImaged",
            "keys": "pred",
            "output_dir": "@output_dir",
            "output_postfix": "lesions",
            "output_dtype": "$numpy.uint8",
            "separate_folder": False,
            "resample": False,
        },
    ]
    return {
        "imports": ["$import glob", "$import numpy", "$import torch"],
        "bundle_root": ".",
        "image_key": "image",
        "output_dir": "$@bundle_root + '/eval'",
        "dataset_dir": "/path/to/flair",
        "datalist": "$list(sorted(glob.glob(@dataset_dir + '/*.nii.gz')))",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": {"_target_": "SegResNet", **NETWORK_ARGUMENTS},
        "network": "$@network_def.to(@device)",
        "weights": "$@bundle_root + '/models/model.pt'",
        "preprocessing": {"_target_": "Compose", "transforms": preprocessing},
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{@image_key: file} for file in @datalist]",
            "transform": "@preprocessing",
        },
        "inferer": {
            "_target_": "SlidingWindowInferer",
            "roi_size": ROI_SIZE,
            "sw_batch_size": 1,
            "overlap": OVERLAP,
            "mode": "gaussian",
        },
        "postprocessing": {"_target_": "Compose", "transforms": postprocessing},
        "initialize": [LOAD_WEIGHTS, "$@network.eval()"],
        "run": [RUN],
    }


def metadata(eval_metrics: dict[str, float], training_statement: str) -> dict[str, Any]:
    """The content of ``configs/metadata.json``."""
    shape = {"spatial_shape": ["8*n", "8*n", "8*n"], "dtype": "float32", "is_patch_data": True}
    return {
        "schema": "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/"
        "0.8.1/meta_schema_20220324.json",
        "version": VERSION,
        "changelog": {VERSION: "first release"},
        "monai_version": monai.__version__,
        "pytorch_version": torch.__version__.split("+")[0],
        "numpy_version": np.__version__,
        "optional_packages_version": {"nibabel": "5.3", "SimpleITK": "2.4", "scipy": "1.14"},
        "required_packages_version": {
            "napari-medcnn": VERSION,
            "python": platform.python_version(),
        },
        "name": "FLAIR white-matter lesion candidates",
        "task": "Highlight candidates of white-matter lesions in FLAIR brain MRI",
        "description": "A small 3D residual network that marks candidates of white-matter lesions "
        "in one FLAIR volume. Synthetic volumes are made from the MNI152 template. "
        + training_statement,
        "authors": "The napari-medcnn authors",
        "copyright": "Copyright (c) the napari-medcnn authors",
        "data_source": "Synthetic volumes from the ICBM 2009a symmetric template (nilearn). Tested "
        "on two patients of Lesjak et al., A novel public MR image dataset of multiple sclerosis "
        "patients, Neuroinformatics 2017, doi:10.1007/s12021-017-9348-7 (CC BY)",
        "data_type": "nibabel",
        "image_classes": "one FLAIR channel; the brain's median is 1, outside the brain is 0",
        "label_classes": "single channel, 1 is lesion",
        "pred_classes": "single channel of logits; sigmoid from 0.5 on is lesion",
        "eval_metrics": eval_metrics,
        "intended_use": "Research demonstration: highlights candidates for a person to review. "
        "Not a medical device, not for diagnosis or treatment.",
        "references": [
            "Lesjak Z. et al., Neuroinformatics 2017, doi:10.1007/s12021-017-9348-7",
            "Fonov V. et al., NeuroImage 2011, doi:10.1016/j.neuroimage.2010.07.033",
            "Myronenko A., 3D MRI brain tumor segmentation using autoencoder regularization, 2018",
        ],
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "magnitude",
                    "modality": "MR",
                    "num_channels": 1,
                    "value_range": [0, 3],
                    "channel_def": {"0": "FLAIR"},
                    **shape,
                }
            },
            "outputs": {
                "pred": {
                    "type": "image",
                    "format": "segmentation",
                    "num_channels": 1,
                    "value_range": [0, 1],
                    "channel_def": {"0": "white-matter lesion"},
                    **shape,
                }
            },
        },
        "medcnn": {
            "id": "flair_lesions",
            "title": "White-matter lesion candidates (FLAIR)",
            "one_liner": "Highlights candidates of white-matter lesions in FLAIR brain MRI; "
            "a research demonstration.",
            "licence": "BSD-3-Clause; template notice in LICENSE",
            "labels": [[1, "white-matter lesion", [0.95, 0.3, 0.15]]],
            "min_lesion_volume_mm3": MIN_LESION_VOLUME_MM3,
            "training_data": training_statement,
        },
    }


def build_preprocessing(config: dict[str, Any]) -> Any:
    """The bundle's own preprocessing, built by MONAI."""
    return ConfigParser(config).get_parsed_content("preprocessing")


def write_bundle(folder: Path, weights: StateDict, card: str, about: dict[str, Any]) -> None:
    """Write configuration, metadata, weights and card; each file whole or not at all."""
    write_json(folder / "configs" / "inference.json", inference_config())
    write_json(folder / "configs" / "metadata.json", about)
    write_text(folder / "docs" / "README.md", card)
    write_text(folder / "LICENSE", licence_text())
    save_weights(folder / "models" / "model.pt", weights)


def save_weights(path: Path, weights: StateDict) -> None:
    """A plain state dictionary of tensors, which ``torch.load(weights_only=True)`` reads."""
    plain = {name: value.detach().clone().contiguous() for name, value in weights.items()}
    with replacing(path) as temporary:
        torch.save(plain, temporary)


def licence_text() -> str:
    """The bundle's licence, with the notices of the data that the weights were made from."""
    own = (Path(__file__).resolve().parents[2] / "LICENSE").read_text(encoding="utf-8")
    return own + "\n" + DATA_NOTICES
