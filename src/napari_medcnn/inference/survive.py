"""Tell the end of memory from other failures, whichever library met it."""

from __future__ import annotations

import re
from typing import Final

from napari_medcnn.core.errors import MedcnnError

_CLASSES: Final = frozenset({"OutOfMemoryError", "OutOfMemory"})
"""Of torch (any device), and our own."""

_WORDS: Final = (
    "out of memory",  # CUDA, MPS
    "can't allocate memory",  # torch's DefaultCPUAllocator
    "cannot allocate memory",  # the operating system
    "not enough memory",  # torch on Windows
    "failed to allocate",  # ITK, cuDNN
    "bad_alloc",  # C++, through any binding
    "bad allocation",  # the same on Windows
    "alloc_failed",  # CUBLAS_STATUS_ALLOC_FAILED and its kin
    "could not allocate",  # OpenVINO
    "out_of_memory",  # oneDNN's and OpenCL's status
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that the memory of a device or of this computer did not suffice.

    Knows Python's and numpy's ``MemoryError``, torch's ``OutOfMemoryError``, and the plain
    ``RuntimeError`` by which torch's CPU, MPS, OpenVINO and ITK say so in words only.
    """
    if isinstance(error, MemoryError):
        return True
    if any(kind.__name__ in _CLASSES for kind in type(error).__mro__):
        return True
    words = str(error).lower()
    return isinstance(error, RuntimeError | OSError) and any(word in words for word in _WORDS)


def what_did_not_fit(error: BaseException) -> str:
    """The first two sentences of an error about memory; torch adds advice to programmers."""
    text = error.what if isinstance(error, MedcnnError) else str(error)
    line = text.strip().partition("\n")[0]
    line = re.sub(r"^\[enforce fail at \S+\] err == 0\. ", "", line)  # of torch's own checks
    sentences = re.split(r"(?<=\.) (?=[A-Z])", line)
    return " ".join(sentences[:2]).removesuffix(".") or type(error).__name__
