"""PyTorch as a backend: CPU, CUDA with float16, and MPS."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from napari_medcnn.inference.backends.base import Backend
from napari_medcnn.inference.backends.checks import check_finite, check_size, or_out_of_memory
from napari_medcnn.inference.device import release_memory, torch_threads
from napari_medcnn.inference.options import Precision

if TYPE_CHECKING:
    import torch


class TorchBackend(Backend):
    """A network run by PyTorch.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode, its parameters on `device`; not changed.
    device, precision
        Where and in what it computes.
    channels_last : bool
        Keep windows and parameters channel by channel in memory; which is faster depends on the
        network and the machine, the result does not.
    compiled : bool
        Run it through ``torch.compile``: tens of seconds for the first call, some per cent less
        for those after it.
    threads : int, optional
        Of the CPU; None leaves torch's own number.
    """

    name = "torch"

    def __init__(
        self,
        network: torch.nn.Module,
        *,
        device: str = "cpu",
        precision: Precision = "float32",
        channels_last: bool = False,
        compiled: bool = False,
        threads: int | None = None,
    ) -> None:
        import torch

        self.device = device
        self.precision = precision
        # A network of pictures has filters of four axes, which know no such layout of volumes.
        self.channels_last = channels_last and all(p.ndim != 4 for p in network.parameters())
        self._threads = threads
        if self.channels_last:
            # `to` changes parameters in place, and the loaded network is shared between runs.
            network = copy.deepcopy(network) if device == "cpu" else network
            network = network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self._network: Any = torch.compile(network, dynamic=False) if compiled else network

    def logits(self, windows: torch.Tensor) -> torch.Tensor:
        """The network's first output; an inference tensor, to be changed in inference mode only."""
        return or_out_of_memory(lambda: self._checked(windows), self.device, windows.shape[0])

    def close(self) -> None:
        """Let go of the network and give the device's memory back."""
        self._network = None
        release_memory(self.device)

    def _checked(self, windows: torch.Tensor) -> torch.Tensor:
        with torch_threads(self._threads):
            output = self._first_output(windows)
        check_size(output.shape, windows.shape)
        check_finite(output, half=self.precision == "float16")
        return output

    def _first_output(self, windows: torch.Tensor) -> torch.Tensor:
        """Torch's gradient mode belongs to the thread: entered here, never across a yield."""
        import torch

        layout = torch.channels_last_3d if self.channels_last else torch.contiguous_format
        half = torch.autocast(
            self.device.partition(":")[0],
            dtype=torch.float16,
            enabled=self.precision == "float16",
        )
        with torch.inference_mode(), half:
            there = windows.to(self.device, non_blocking=True).contiguous(memory_format=layout)
            output = self._network(there)
            if isinstance(output, list | tuple):  # deep supervision: full resolution comes first
                output = output[0]
            first: torch.Tensor = output.to(torch.float32)
        return first
