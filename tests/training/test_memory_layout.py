"""Layouts change the time of a step, never what is computed."""

from __future__ import annotations

import pytest
import torch
from monai.networks.nets import SegResNet, UNet

from napari_medcnn.training.memory_layout import layout_of


def unet(dimensions: int) -> torch.nn.Module:
    torch.manual_seed(0)
    return UNet(dimensions, 1, 3, [4, 8, 16], [2, 2], num_res_units=2)


@pytest.mark.parametrize(
    ("device", "dimensions", "amp", "expected"),
    [
        ("cpu", 3, False, torch.channels_last_3d),
        ("cpu", 2, False, torch.contiguous_format),
        ("cpu", 3, True, torch.contiguous_format),
        ("cuda:1", 3, True, torch.channels_last_3d),
        ("cuda", 2, True, torch.channels_last),
        ("cuda", 3, False, torch.contiguous_format),
        ("mps", 3, False, torch.contiguous_format),
    ],
)
def test_only_what_was_measured_to_be_faster_is_laid_out_otherwise(
    device: str, dimensions: int, amp: bool, expected: torch.memory_format
) -> None:
    assert layout_of(unet(dimensions), device, dimensions, amp=amp) == expected


def test_a_network_that_was_slower_so_on_a_gpu_stays_as_it_is() -> None:
    network = SegResNet(3, 8, 1, 2)
    assert layout_of(network, "cuda", 3, amp=True) == torch.contiguous_format


def test_the_layout_changes_no_gradient_but_by_rounding() -> None:
    image = torch.randn(2, 1, 16, 16, 16, generator=torch.Generator().manual_seed(1))
    found = []
    for layout in (torch.contiguous_format, layout_of(unet(3), "cpu", 3, amp=False)):
        network = unet(3)
        network.to(memory_format=layout)  # type: ignore[call-overload]
        network(image.contiguous(memory_format=layout)).square().mean().backward()
        found.append([p.grad for p in network.parameters() if p.grad is not None])
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-5)
