"""Open the backend of a model's network: the one door to all of them."""

from __future__ import annotations

from dataclasses import replace

from napari_medcnn.core.errors import ModelError
from napari_medcnn.core.geometry import Index
from napari_medcnn.inference.backends.base import Backend
from napari_medcnn.inference.options import OPENVINO_ONLY, BackendName, Precision
from napari_medcnn.models.spec import ModelSpec


def open_backend(
    spec: ModelSpec,
    name: BackendName,
    *,
    device: str = "cpu",
    precision: Precision = "float32",
    roi: Index,
    batch: int = 1,
    threads: int | None = None,
    member: int = 0,
    channels_last: bool = False,
    compiled: bool = False,
) -> Backend:
    """One network of a model, ready for windows of one size.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    name : {"torch", "openvino"}
        What runs it.
    device, precision
        Where and in what; OpenVINO runs on the CPU in float32.
    roi : tuple of int
        The window ``(z, y, x)`` as `InferencePlan.roi_size`; windows come as ``(…, x, y, z)``.
    batch : int
        Windows at once, at most.
    threads : int, optional
        Of the CPU.
    member : int
        Which network of `ModelSpec.weight_files`.
    channels_last, compiled : bool
        As :class:`~napari_medcnn.inference.backends.torch_backend.TorchBackend` says.

    Raises
    ------
    ModelError
        When the network cannot be loaded, or not run by this backend.
    MedcnnError
        When the backend is not installed.
    OutOfMemory
        When the memory did not suffice to load it.
    """
    one = replace(spec, weights=spec.weight_files[member], members=())
    if name == "openvino":
        from napari_medcnn.inference.backends.openvino_backend import open_openvino

        if device != "cpu":
            raise ModelError(
                f"the backend openvino runs on the CPU, not on {device}",
                hint="choose the backend torch, or the device cpu",
            )
        return open_openvino(one, roi=roi, batch=batch, threads=threads)

    from napari_medcnn.inference.backends.checks import or_out_of_memory
    from napari_medcnn.inference.backends.torch_backend import TorchBackend
    from napari_medcnn.models.networks import load_network

    if spec.kind in OPENVINO_ONLY:
        raise ModelError(
            f"torch cannot run a model of the kind {spec.kind}",
            source=spec.weights,
            hint="choose the backend openvino",
        )
    return or_out_of_memory(
        lambda: TorchBackend(
            load_network(one, device),
            device=device,
            precision=precision,
            channels_last=channels_last,
            compiled=compiled,
            threads=threads,
        ),
        device,
        batch,
    )
