"""Where a run keeps its network and its sums, and what to try next when memory ends."""

from __future__ import annotations

from dataclasses import dataclass, replace

from napari_medcnn.inference.options import BackendName, Precision


@dataclass(frozen=True)
class Placement:
    """How the network's part of a run is laid out; `str` of it is for people.

    Parameters
    ----------
    device : str
        Of the network.
    backend : {"torch", "openvino"}
        What runs it.
    precision : {"float32", "float16"}
        Of its arithmetic.
    batch : int
        Windows at once.
    sums_on : str
        The device that keeps the sums of logits, and works on their slabs.
    planes : int
        Planes of the image that are interpolated at once; 0 for as many as there are threads.
    channels_last, compiled : bool
        As :class:`~napari_medcnn.inference.backends.torch_backend.TorchBackend` says.
    """

    device: str = "cpu"
    backend: BackendName = "torch"
    precision: Precision = "float32"
    batch: int = 1
    sums_on: str = "cpu"
    planes: int = 0
    channels_last: bool = False
    compiled: bool = False

    def __str__(self) -> str:
        windows = "one window" if self.batch == 1 else f"{self.batch} windows"
        where = "the CPU" if self.device == "cpu" else self.device
        words = f"{windows} at once on {where}"
        if self.device != "cpu":
            words += f", sums on {'the CPU' if self.sums_on == 'cpu' else self.sums_on}"
        return words + (f", {self.planes} plane at a time" if self.planes else "")


def next_placement(failed: Placement) -> Placement | None:
    """What needs less memory than `failed` did; None when there is nothing left to try.

    First half the windows at once, down to one; then the sums in main memory; then one plane of the
    image at a time; then the CPU, in full precision, from one window on.
    """
    if failed.batch > 1:
        return replace(failed, batch=failed.batch // 2)
    if failed.sums_on != "cpu":
        return replace(failed, sums_on="cpu")
    if failed.planes != 1:
        return replace(failed, planes=1)
    if failed.device != "cpu":
        return Placement(planes=1)
    return None
