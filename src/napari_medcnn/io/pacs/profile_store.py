"""Named connections on disk: one JSON file in the user's configuration, no secrets in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from filelock import FileLock

from napari_medcnn.core.atomic import write_json
from napari_medcnn.core.errors import ReadError
from napari_medcnn.core.user_folders import config_folder
from napari_medcnn.io.pacs.credentials import environment_stem
from napari_medcnn.io.pacs.errors import NoSuchProfile
from napari_medcnn.io.pacs.profiles import Profile, ProfileError, from_json, to_json

_VERSION = 1
_MAX_BYTES = 1 << 20


def profiles_path() -> Path:
    """The file that holds the connections."""
    return config_folder() / "pacs.json"


def load_profiles() -> tuple[Profile, ...]:
    """All connections in the order of their names.

    Raises
    ------
    ReadError
        When the file is there and cannot be read as what it should be.
    """
    path = profiles_path()
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ReadError("far too large for a list of connections", source=path)
        record: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path) from error
    if not isinstance(record, dict) or not isinstance(record.get("profiles"), list):
        raise _unreadable(path)
    try:
        found = [from_json(item) for item in record["profiles"]]
    except ProfileError as error:
        raise ReadError(error.what, source=path, hint="correct or delete the file") from error
    return tuple(sorted(found, key=lambda profile: profile.name.lower()))


def find_profile(name: str) -> Profile:
    """The connection of this name.

    Raises
    ------
    NoSuchProfile
        When there is none; the hint names those that exist.
    """
    known = load_profiles()
    for profile in known:
        if profile.name == name:
            return profile
    names = ", ".join(profile.name for profile in known)
    raise NoSuchProfile(
        f"there is no PACS connection {name!r}",
        hint=f"known: {names}" if names else "add one with: medcnn pacs add",
    )


def save_profile(profile: Profile, *, replacing: str | None = None) -> None:
    """Add a connection, or put it in the place of the one named `replacing`.

    Raises
    ------
    ProfileError
        When another connection has this name, or one that cannot be told from it in the names of
        environment variables.
    """
    with _lock():
        others = [known for known in load_profiles() if known.name != replacing]
        for known in others:
            if environment_stem(known.name) == environment_stem(profile.name):
                raise ProfileError(
                    f"there is a connection {known.name} already", hint="choose another name"
                )
        _write([*others, profile])


def remove_profile(name: str) -> None:
    """Remove a connection.

    Raises
    ------
    NoSuchProfile
        When there is none of this name.
    """
    with _lock():
        find_profile(name)
        _write([known for known in load_profiles() if known.name != name])


def _write(profiles: list[Profile]) -> None:
    ordered = sorted(profiles, key=lambda profile: profile.name.lower())
    record = {"version": _VERSION, "profiles": [to_json(profile) for profile in ordered]}
    write_json(profiles_path(), record)


def _lock() -> FileLock:
    # Two programs that add at the same time must not lose one of the connections.
    path = profiles_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_suffix(".lock"), timeout=10)


def _unreadable(path: Path) -> ReadError:
    return ReadError(
        "the list of PACS connections cannot be read", source=path, hint="correct or delete it"
    )
