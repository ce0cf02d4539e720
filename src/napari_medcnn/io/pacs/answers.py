"""Read what a server answers without repeating any of it: no warning and no log line."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()


@contextmanager
def unquoted() -> Iterator[None]:
    """Keep pydicom from warning of and logging values that are irregular: it quotes them.

    A patient's name is irregular often enough. Its switch is the whole process's, so keep the
    block short.
    """
    from pydicom.config import disable_value_validation

    with _lock, disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
