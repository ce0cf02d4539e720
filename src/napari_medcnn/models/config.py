"""A bundle's configuration: references, macros and expressions worked out on demand.

A string that is a reference (``@key``) or a macro of the same file (``%key``) stands for what is
at that key, ``$...`` for the value of an expression (:mod:`napari_medcnn.models.expressions`).
Only what is asked for is looked at: the lines for training, logging and saving never are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.expressions import evaluate

_KEY = r"(\w+(?:(?:::|#)\w+)*)"
_REFERENCE = re.compile(f"@{_KEY}")
_WHOLE_REFERENCE = re.compile(f"[@%]{_KEY}\\Z")


class Config:
    """A bundle's configuration whose values are worked out one by one, on demand.

    Parameters
    ----------
    content : dict
        As parsed from JSON or YAML.
    source : Path
        The file, for errors.
    """

    def __init__(self, content: Mapping[str, Any], source: Path) -> None:
        self._content = content
        self.source = source
        self._known: dict[str, Any] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._content

    def value(self, key: str) -> Any:
        """What stands at `key` (``a#b#0`` or ``a::b::0``), references and expressions worked out.

        A component (a dict with ``_target_``) stays a dict: nothing is instantiated.

        Raises
        ------
        ModelError
            When the key or something it refers to is missing, refers to itself, or asks to run
            Python code that is not interpreted.
        """
        return self._at(key, ())

    def _at(self, key: str, open_keys: tuple[str, ...]) -> Any:
        key = key.replace("::", "#")
        if key in open_keys:
            raise self._error(f"{key} refers to itself: {' → '.join([*open_keys, key])}")
        if key not in self._known:
            self._known[key] = self._resolved(self.raw(key), key, (*open_keys, key))
        return self._known[key]

    def raw(self, key: str) -> Any:
        """What is written at `key`, nothing worked out.

        Raises
        ------
        ModelError
            When nothing stands there.
        """
        found: Any = self._content
        for part in key.replace("::", "#").split("#"):
            try:
                found = found[int(part)] if isinstance(found, list) else found[part]
            except (LookupError, TypeError, ValueError):
                raise self._error(f"nothing stands at the key {key}") from None
        return found

    def network_class(self) -> str:
        """What the network's ``_target_`` says; "" where there is none."""
        for key in ("network_def", "network"):
            raw = self._content.get(key)
            if isinstance(raw, Mapping) and isinstance(raw.get("_target_"), str):
                return str(raw["_target_"])
        return ""

    def _resolved(self, raw: Any, key: str, open_keys: tuple[str, ...]) -> Any:
        if isinstance(raw, Mapping):
            return {k: self._resolved(v, f"{key}#{k}", open_keys) for k, v in raw.items()}
        if isinstance(raw, list):
            return [self._resolved(v, f"{key}#{i}", open_keys) for i, v in enumerate(raw)]
        if not isinstance(raw, str):
            return raw
        if match := _WHOLE_REFERENCE.match(raw):
            return self._at(match[1], open_keys)
        if raw.startswith("%"):
            raise self._error(f"{key} takes its value from another file ({raw}), refused")
        if raw.startswith("$"):
            return self._evaluated(raw[1:], key, open_keys)
        return raw

    def _evaluated(self, text: str, key: str, open_keys: tuple[str, ...]) -> Any:
        references: dict[str, str] = {}

        def name_of(match: re.Match[str]) -> str:
            return references.setdefault(match[1], f"reference_{len(references)}")

        python = _REFERENCE.sub(name_of, text)
        try:
            return evaluate(
                python, key, {name: self._at(ref, open_keys) for ref, name in references.items()}
            )
        except ModelError as error:
            if error.source is None:
                raise self._error(error.what.replace(python, text), error.hint) from error
            raise

    def _error(self, what: str, hint: str | None = None) -> ModelError:
        return ModelError(what, source=self.source, hint=hint)
