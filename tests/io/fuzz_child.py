"""Reads broken files in a process of its own: ``python -m tests.io.fuzz_child FIRST STOP FOLDER``.

Prints a line of JSON before each file and one after it, so that the parent knows which file a crash
or a hang belongs to. Memory is watched as address space, which counts what is never touched too.
"""

from __future__ import annotations

import faulthandler
import json
import re
import resource
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from napari_medcnn.core.errors import MedcnnError, ReadError
from napari_medcnn.io.deidentify.instance import cleaned
from napari_medcnn.io.deidentify.options import Options
from napari_medcnn.io.deidentify.profile import profile_for
from napari_medcnn.io.deidentify.pseudonyms import Pseudonyms
from napari_medcnn.io.read import is_readable, read
from tests.io.fuzz_files import FORMATS, Case, broken_file

MAX_SECONDS = 10
MAX_BYTES = 2**30
_FAILED = re.compile("(could ?n[o']t|failed to|unable to) allocate|bad_alloc", re.IGNORECASE)
HARD_LIMIT = 4 * 2**30
"""Above the allocation that is counted as a failure, so that the failure is seen and not caught."""


def main(first: int, stop: int, folder: Path) -> None:
    warm_up(folder)
    size = memory("VmSize")
    resource.setrlimit(resource.RLIMIT_AS, (size + HARD_LIMIT, size + HARD_LIMIT))
    baseline = max(size, memory("VmPeak"))
    for number in range(first, stop):
        case = broken_file(FORMATS[number % len(FORMATS)], number)
        say(number=number, name=case.name, state="begins")
        # Ends the process with every thread's traceback: the parent sees a hang.
        faulthandler.dump_traceback_later(MAX_SECONDS, exit=True)
        began = time.perf_counter()
        outcome = one(case, folder / str(number))
        faulthandler.cancel_dump_traceback_later()
        taken = memory("VmPeak") - baseline
        say(number=number, name=case.name, state="ends", outcome=outcome,
            seconds=round(time.perf_counter() - began, 3), taken=taken)  # fmt: skip
        baseline = max(baseline, memory("VmPeak"))


def one(case: Case, folder: Path) -> str:
    """``read``, the name of our own error, or what went wrong."""
    folder.mkdir()
    path = folder / case.name
    path.write_bytes(case.content)
    for name, content in case.beside:
        (folder / name).write_bytes(content)
    try:
        outcomes = [attempt(is_readable, path), attempt(read, path)]
        if case.beside:
            outcomes.append(attempt(read, folder))
            if outcomes[-1] != "read" and not case.whole:
                outcomes.append("bad: the good slices beside it were not read")
        if case.name.endswith(".dcm"):
            outcomes.append(attempt(clean, path))
    finally:
        shutil.rmtree(folder)
    bad = [outcome for outcome in outcomes if outcome.startswith("bad")]
    return "; ".join(bad) or outcomes[1]


def attempt(function: Any, path: Path) -> str:
    try:
        function(path)
    except MedcnnError as error:
        if ran_out_of_memory(error):
            return f"bad: an allocation failed: {error}"
        return type(error).__name__ if error.what.strip() else "bad: an error without a reason"
    except BaseException as error:  # noqa: BLE001
        import traceback

        place = traceback.extract_tb(error.__traceback__)[-3:]
        where = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(place))
        return f"bad: {type(error).__name__}: {str(error)[:200]} at {where}"
    return "read"


def clean(path: Path) -> None:
    try:
        cleaned(path, profile_for(Options()), Pseudonyms(b"key"))
    except ReadError as error:
        if error.source not in (None, str(path)):
            raise AssertionError("the error names another file") from error
        raise


def ran_out_of_memory(error: BaseException) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError) or _FAILED.search(str(seen)):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def warm_up(folder: Path) -> None:
    """Import what reading imports, so that it is not counted."""
    for number in range(200):
        case = broken_file(FORMATS[number % len(FORMATS)], -number - 1)
        one(case, folder / f"warm{number}") if number < 8 else None
    import imagecodecs
    import openjpeg  # noqa: F401

    assert imagecodecs.jpeg2k_decode and imagecodecs.jpegls_decode


def memory(field: str) -> int:
    """A figure of ``/proc/self/status`` in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {field} in /proc/self/status")


def say(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
