"""What the engine asks of whatever runs a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from napari_medcnn.inference.options import Precision

if TYPE_CHECKING:
    import torch


class Backend(Protocol):
    """One network, ready to run on windows of one size.

    Attributes
    ----------
    name : str
        ``"torch"`` or ``"openvino"``.
    device : str
        Where it computes and where its logits come back: ``"cpu"``, ``"cuda:0"``, ``"mps"``.
    precision : {"float32", "float16"}
        Of its arithmetic.
    """

    name: str
    device: str
    precision: Precision

    def logits(self, windows: torch.Tensor) -> torch.Tensor:
        """The network's first output for some windows.

        Parameters
        ----------
        windows : torch.Tensor
            ``(batch, channel, x, y, z)`` float32, on any device.

        Returns
        -------
        torch.Tensor
            ``(batch, class, x, y, z)`` float32 on `device`; the caller may overwrite it until the
            next call.

        Raises
        ------
        ModelError
            When the output has another size than the windows, or holds values that are no finite
            numbers.
        napari_medcnn.core.errors.OutOfMemory
            When the device's or the host's memory did not suffice; nothing of the call is kept.
        """
        ...

    def close(self) -> None:
        """Let go of the network and its memory; the backend is not used again."""
        ...
