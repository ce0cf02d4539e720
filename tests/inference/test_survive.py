from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_medcnn.core.errors import ModelError, OutOfMemory
from napari_medcnn.inference.survive import is_out_of_memory, what_did_not_fit


def test_what_torch_and_numpy_raise_when_memory_ends_is_known() -> None:
    with pytest.raises(RuntimeError) as by_torch:
        torch.empty(2**60)
    with pytest.raises(MemoryError) as by_numpy:
        np.empty(2**55)
    assert is_out_of_memory(by_torch.value)
    assert is_out_of_memory(by_numpy.value)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.07 GB)"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"),
        RuntimeError("Exception from src/inference: std::bad_alloc"),
        OutOfMemory("did not suffice"),
        OSError(12, "Cannot allocate memory"),
    ],
)
def test_other_backends_words_for_it_are_known(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error", [RuntimeError("size mismatch"), ModelError("out of memory of what"), ValueError("x")]
)
def test_other_failures_are_not_taken_for_it(error: Exception) -> None:
    assert not is_out_of_memory(error)


def test_what_is_told_of_it_leaves_advice_to_programmers_out() -> None:
    words = (
        "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8 GiB. "
        "If reserved memory is large try setting PYTORCH_CUDA_ALLOC_CONF.\nMore"
    )
    told = what_did_not_fit(torch.OutOfMemoryError(words))
    assert told == "CUDA out of memory. Tried to allocate 2.00 GiB"
    assert what_did_not_fit(OutOfMemory("two windows did not fit", hint="close")) == (
        "two windows did not fit"
    )
    assert what_did_not_fit(MemoryError()) == "MemoryError"
    with pytest.raises(RuntimeError) as by_torch:
        torch.empty(2**60)
    assert what_did_not_fit(by_torch.value).startswith("DefaultCPUAllocator: can't allocate memory")
