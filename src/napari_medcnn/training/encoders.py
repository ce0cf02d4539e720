"""Which of a network's parameters are its encoder: what it sees with, not what it decides with."""

from __future__ import annotations

import re
from collections.abc import Mapping

from napari_medcnn.core.errors import ModelError

ENCODERS: Mapping[str, re.Pattern[str]] = {
    name: re.compile(pattern)
    for name, pattern in {
        # MONAI's UNet is nested: 0 goes down, 1.submodule is the next level, 2 goes up.
        "UNet": r"^model\.(1\.submodule\.)*(?![12]\.)",
        "AttentionUnet": r"^model\.(0\.|1\.(submodule\.1\.)*submodule\.(0\.|conv))",
        "SegResNet": r"^(convInit|down_layers)\.",
        "SegResNetDS": r"^encoder\.",
        "DynUNet": r"^(input_block|downsamples|bottleneck)\.",
        "SwinUNETR": r"^(swinViT|encoder\d+)\.",
        "UNETR": r"^(vit|encoder\d+)\.",
        "BasicUNet": r"^(conv_0|down_\d+)\.",
        "VNet": r"^(in_tr|down_tr\d+)\.",
        "ClassicCNN": r"^features\.",
        "VGG": r"^features\.",
        "ResNet": r"^(?!fc\.)",
        "DenseNet": r"^features\.",
        "EfficientNetBN": r"^(?!_fc\.)",
    }.items()
}
"""By class, what the names of the encoder's parameters begin with."""


def in_encoder(class_name: str, parameter: str) -> bool:
    """Whether a parameter of a network of this class belongs to its encoder.

    Raises
    ------
    ModelError
        When it is not known which of the network's parameters are an encoder.
    """
    if class_name not in ENCODERS:
        raise ModelError(
            f"it is not known which part of a {class_name} is its encoder",
            hint="train all of it: no frozen encoder, and the same rate everywhere",
        )
    return ENCODERS[class_name].match(parameter) is not None
