"""What the user chooses of a run; the plan and the run follow it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from napari_medcnn.core.geometry import Index

BackendName = Literal["torch", "openvino"]
Precision = Literal["float32", "float16"]
Mirroring = Literal["model", "none", "all"]

OPENVINO_ONLY = ("onnx", "saved_model")
"""Kinds of models that torch cannot run."""


@dataclass(frozen=True)
class RunOptions:
    """How a model is to be run, and what is to be kept of it.

    Parameters
    ----------
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
    backend : {"auto", "torch", "openvino"}
        What runs the network; ``"auto"`` is the fastest one on this machine that agrees.
    precision : {"auto", "float32", "float16"}
        Of the network's arithmetic; ``"auto"`` is float16 on CUDA and float32 elsewhere.
    batch : int, optional
        Windows at once; None leaves it to the plan.
    threads : int, optional
        Of the CPU, for this run only; None takes all cores.
    mirror : {"model", "none", "all"}
        Test-time augmentation by mirrored windows: as the model asks for, never, or along all axes.
    threshold : float, optional
        Probability from which a voxel counts as foreground, in place of the model's own rule.
    keep_probability : bool
        Whether the result carries its probability map.
    keep_uncertainty : bool
        Whether the result carries maps of uncertainty: entropy, and where there are several answers
        (mirrored windows, an ensemble) their variance.
    region : tuple of (start, stop), optional
        The part ``(z, y, x)`` of the image that is run, in voxels of the first volume's array.
    reuse_empty : bool
        Run the network once for all windows that hold one same value, as air does; same result.
    accept_findings : bool
        Run although something was found that forbids measuring without the user's yes.
    """

    device: str = "auto"
    backend: Literal["auto"] | BackendName = "auto"
    precision: Literal["auto"] | Precision = "auto"
    batch: int | None = None
    threads: int | None = None
    mirror: Mirroring = "model"
    threshold: float | None = None
    keep_probability: bool = True
    keep_uncertainty: bool = False
    region: tuple[Index, Index] | None = None
    reuse_empty: bool = True
    accept_findings: bool = False
