"""What every backend promises, held by each of them on the same small networks."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_medcnn.core.errors import MedcnnError, ModelError, OutOfMemory
from napari_medcnn.inference.backends import openvino_cache
from napari_medcnn.inference.backends.base import Backend
from napari_medcnn.inference.backends.open import open_backend
from napari_medcnn.inference.backends.openvino_convert import TRACED_VOXELS
from napari_medcnn.inference.backends.openvino_runtime import is_installed
from napari_medcnn.inference.backends.torch_backend import TorchBackend
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.networks import load_network
from napari_medcnn.models.spec import ModelSpec
from tests.bundle_factory import make_bundle

ROI = (24, 32, 16)
"""``(z, y, x)``, different along each axis, so that none is taken for another."""

needs_openvino = pytest.mark.skipif(not is_installed(), reason="needs the extra fast (openvino)")
BACKENDS = ["torch", pytest.param("openvino", marks=needs_openvino)]


@pytest.fixture
def spec(tmp_path: Path) -> ModelSpec:
    folder = make_bundle(
        tmp_path / "random", classes=("a", "b", "c"), channels=2, random_weights=True, roi=ROI[::-1]
    )
    return read_bundle(folder)


def windows_of(spec: ModelSpec, batch: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, len(spec.channels), *reversed(ROI), generator=generator)


def reference(spec: ModelSpec, windows: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = load_network(spec)(windows)
    return logits


@pytest.mark.parametrize("name", BACKENDS)
def test_logits_are_the_networks(spec: ModelSpec, name: Any) -> None:
    windows = windows_of(spec, 2)
    backend: Backend = open_backend(spec, name, roi=ROI, batch=2, threads=1)
    logits = backend.logits(windows)
    assert (backend.name, backend.device, backend.precision) == (name, "cpu", "float32")
    assert (logits.shape, logits.dtype) == ((2, 3, *reversed(ROI)), torch.float32)
    torch.testing.assert_close(logits, reference(spec, windows), atol=1e-5, rtol=1e-4)
    backend.close()


@pytest.mark.parametrize("name", BACKENDS)
def test_the_last_batch_may_be_smaller_and_windows_may_be_views(spec: ModelSpec, name: Any) -> None:
    backend = open_backend(spec, name, roi=ROI, batch=3, threads=1)
    for count in (3, 1, 2):
        image = torch.randn(2, 40, 40, 40)
        view = image[:, 1:17, 2:34, 3:27][None].expand(count, -1, -1, -1, -1)
        torch.testing.assert_close(
            backend.logits(view), reference(spec, view), atol=1e-5, rtol=1e-4
        )
    backend.close()


@pytest.mark.parametrize("name", BACKENDS)
def test_the_caller_may_overwrite_what_it_got(spec: ModelSpec, name: Any) -> None:
    backend = open_backend(spec, name, roi=ROI, threads=1)
    windows = windows_of(spec)
    with torch.inference_mode():
        backend.logits(windows).zero_()
    assert backend.logits(windows).abs().sum() > 0
    backend.close()


@pytest.mark.parametrize("name", BACKENDS)
def test_logits_that_are_no_numbers_are_refused(spec: ModelSpec, tmp_path: Path, name: Any) -> None:
    state = torch.load(spec.weights, weights_only=True)
    last = list(state)[-1]
    bad = tmp_path / "bad.pt"
    torch.save({**state, last: torch.full_like(state[last], torch.nan)}, bad)
    with pytest.raises(ModelError, match="no finite numbers"):
        backend = open_backend(replace(spec, weights=bad), name, roi=ROI, threads=1)
        backend.logits(windows_of(spec))


@pytest.mark.parametrize("name", BACKENDS)
def test_each_member_of_an_ensemble_has_its_own_weights(
    spec: ModelSpec, tmp_path: Path, name: Any
) -> None:
    state = torch.load(spec.weights, weights_only=True)
    other = tmp_path / "other.pt"
    torch.save({k: v * 1.5 if v.is_floating_point() else v for k, v in state.items()}, other)
    both = replace(spec, members=(spec.weights, other))
    windows = windows_of(spec)
    first, second = (
        open_backend(both, name, roi=ROI, threads=1, member=member).logits(windows).clone()
        for member in (0, 1)
    )
    torch.testing.assert_close(first, reference(spec, windows), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(first, second)


def test_channels_last_changes_no_result_and_not_the_shared_network(spec: ModelSpec) -> None:
    windows = windows_of(spec)
    backend = open_backend(spec, "torch", roi=ROI, channels_last=True, threads=1)
    torch.testing.assert_close(
        backend.logits(windows), reference(spec, windows), atol=1e-5, rtol=1e-4
    )
    convolution = next(p for p in load_network(spec).parameters() if p.ndim == 5)
    assert convolution.is_contiguous()


def test_the_first_output_of_deep_supervision_is_taken() -> None:
    class Deep(torch.nn.Module):
        def forward(self, windows: torch.Tensor) -> list[torch.Tensor]:
            return [windows * 2, windows[..., ::2, ::2, ::2]]

    windows = torch.ones(1, 1, 4, 4, 4)
    assert TorchBackend(Deep(), threads=1).logits(windows).eq(2).all()


def test_an_output_of_another_size_is_refused() -> None:
    with pytest.raises(ModelError, match="both must be alike"):
        TorchBackend(torch.nn.MaxPool3d(2), threads=1).logits(torch.ones(1, 1, 4, 4, 4))


def test_torchs_refusal_of_memory_is_our_error_and_the_next_call_works(spec: ModelSpec) -> None:
    class Greedy(torch.nn.Module):
        def forward(self, windows: torch.Tensor) -> torch.Tensor:
            if windows.sum() > 0:
                torch.empty(2**60)
            return windows

    backend = TorchBackend(Greedy(), threads=1)
    with pytest.raises(OutOfMemory, match="did not suffice for 1 window of the network") as caught:
        backend.logits(torch.ones(1, 1, 4, 4, 4))
    assert caught.value.__cause__ is None, "the failed call's frames hold its tensors"
    assert caught.value.__context__ is None
    assert backend.logits(torch.zeros(1, 1, 4, 4, 4)).eq(0).all()


@needs_openvino
def test_windows_of_another_size_than_compiled_for_are_refused(spec: ModelSpec) -> None:
    backend = open_backend(spec, "openvino", roi=ROI, threads=1)
    with pytest.raises(ModelError, match="compiled for windows"):
        backend.logits(torch.zeros(1, 2, 16, 16, 16))


@needs_openvino
def test_a_large_window_is_exported_without_computing_it(
    spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert TRACED_VOXELS > 100**3
    monkeypatch.setattr("napari_medcnn.inference.backends.openvino_convert.TRACED_VOXELS", 0)
    monkeypatch.setattr(torch.jit, "trace", None)
    windows = windows_of(spec)
    backend = open_backend(spec, "openvino", roi=ROI, threads=1)
    torch.testing.assert_close(
        backend.logits(windows), reference(spec, windows), atol=1e-5, rtol=1e-4
    )


@needs_openvino
def test_a_converted_network_is_kept_and_a_damaged_one_made_anew(
    spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDCNN_CACHE", str(tmp_path / "cache"))
    windows = windows_of(spec)
    expected = reference(spec, windows)
    open_backend(spec, "openvino", roi=ROI, threads=1).close()
    (folder,) = (tmp_path / "cache" / "openvino").iterdir()
    assert sorted(p.name for p in folder.iterdir()) == ["manifest.json", "model.bin", "model.xml"]
    with monkeypatch.context() as patch:
        patch.setattr("napari_medcnn.models.networks.load_network", None)  # not needed any more
        backend = open_backend(spec, "openvino", roi=ROI, threads=1)
        torch.testing.assert_close(backend.logits(windows), expected, atol=1e-5, rtol=1e-4)
        backend.close()
    for name in ("model.bin", "model.xml", "manifest.json"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])
        backend = open_backend(spec, "openvino", roi=ROI, threads=1)
        torch.testing.assert_close(backend.logits(windows), expected, atol=1e-5, rtol=1e-4)
        backend.close()
        manifest = json.loads((folder / "manifest.json").read_text())
        assert set(manifest) == {"model.bin", "model.xml"}


@needs_openvino
def test_weights_window_and_batch_each_have_their_own_conversion(
    spec: ModelSpec, tmp_path: Path
) -> None:
    shape = (1, 2, *ROI)
    other = tmp_path / "other.pt"
    torch.save({"a": torch.zeros(1)}, other)
    keys = {
        openvino_cache.key_of(spec, shape),
        openvino_cache.key_of(spec, (2, 2, *ROI)),
        openvino_cache.key_of(spec, (1, 2, *ROI[::-1])),
        openvino_cache.key_of(replace(spec, weights=other), shape),
    }
    assert len(keys) == 4


@needs_openvino
def test_a_folder_that_cannot_be_written_does_not_stop_a_run(
    spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("MEDCNN_CACHE", str(tmp_path / "file"))
    backend = open_backend(spec, "openvino", roi=ROI, threads=1)
    assert backend.logits(windows_of(spec)).shape[1] == 3


@needs_openvino
def test_the_oldest_conversions_make_room(
    spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(openvino_cache, "KEPT_BYTES", 1.0)
    for batch in (1, 2):
        open_backend(spec, "openvino", roi=ROI, batch=batch, threads=1).close()
    (left,) = (tmp_path / "cache" / "openvino").iterdir()
    assert left.name == openvino_cache.key_of(spec, (2, 2, *reversed(ROI)))


@needs_openvino
def test_openvino_says_that_it_runs_on_the_cpu_only(spec: ModelSpec) -> None:
    with pytest.raises(ModelError, match="on the CPU, not on cuda"):
        open_backend(spec, "openvino", device="cuda", roi=ROI)


@needs_openvino
def test_openvino_is_imported_without_its_reports() -> None:
    script = (
        "import sys\n"
        "from napari_medcnn.inference.backends.openvino_runtime import openvino\n"
        "openvino()\n"
        "assert 'openvino_telemetry' not in sys.modules\n"
        "from openvino.tools.ovc import telemetry\n"
        "assert type(telemetry).__module__ == 'openvino.tools.ovc.telemetry_stub'\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_without_openvino_the_error_says_how_to_install_it(spec: ModelSpec) -> None:
    script = (
        "import sys\n"
        "sys.modules['openvino'] = None\n"
        "from napari_medcnn.inference.backends.openvino_runtime import openvino\n"
        "try:\n"
        "    openvino()\n"
        "except Exception as error:\n"
        "    print(error)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], check=True, timeout=60, capture_output=True, text=True
    )
    assert "pip install napari-medcnn[fast]" in said.stdout


def test_torch_says_what_it_cannot_run(spec: ModelSpec) -> None:
    with pytest.raises(MedcnnError, match="kind onnx") as caught:
        open_backend(replace(spec, kind="onnx"), "torch", roi=ROI)
    assert "openvino" in str(caught.value.hint)
