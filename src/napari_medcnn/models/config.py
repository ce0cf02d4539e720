"""A bundle's configuration: references, macros and expressions worked out on demand.

A string that is a reference (``@key``) or a macro of the same file (``%key``) stands for what is
at that key, ``$...`` for the value of an expression (:mod:`napari_medcnn.models.expressions`).
Only what is asked for is looked at: the lines for training, logging and saving never are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.calls import Call, bound, taken_apart
from napari_medcnn.models.detection_vocabulary import CALLS
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

    def method(
        self, key: str, owner: str, methods: Mapping[str, Sequence[str]]
    ) -> tuple[str, dict[str, Any]]:
        """The method that the line at `key` calls of the component `owner`, and its arguments.

        Neither is the component made, nor the method called.

        Parameters
        ----------
        owner : str
            The component's key, e.g. ``"detector"`` of ``$@detector.set_target_keys(...)``.
        methods : dict
            The methods that may be named, with their parameters in order.

        Raises
        ------
        ModelError
            When the line is anything else, or an argument asks to run code.
        """
        raw = self.raw(key)
        if isinstance(raw, str) and raw.startswith("$"):
            references: dict[str, str] = {}
            call = taken_apart(_REFERENCE.sub(_naming(references), raw[1:]))
            name, _, method = ("", "", "") if call is None else call.function.partition(".")
            if call is not None and references.pop(owner, "") == name and method in methods:
                return method, self._worked_out(call, methods[method], key, references, (key,))
        raise self._error(
            f"{key} asks to run Python code that is not interpreted, refused: {raw}",
            f"only calls of @{owner} with plain arguments are read: {', '.join(sorted(methods))}",
        )

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
        python = _REFERENCE.sub(_naming(references), text)
        call = taken_apart(python)
        module, _, name = ("", "", "") if call is None else call.function.rpartition(".")
        if call is not None and name in CALLS and module.partition(".")[0] == "monai":
            given = self._worked_out(call, CALLS[name], key, references, open_keys)
            return {"_target_": call.function, **given}
        names = {name: self._at(ref, open_keys) for ref, name in references.items()}
        with self._in_the_bundles_words(python, text):
            return evaluate(python, key, names)

    def _worked_out(
        self,
        call: Call,
        parameters: Sequence[str],
        key: str,
        references: Mapping[str, str],
        open_keys: tuple[str, ...],
    ) -> dict[str, Any]:
        names = {name: self._at(ref, open_keys) for ref, name in references.items()}
        with self._in_the_bundles_words("", ""):
            return bound(call, parameters, key, names)

    @contextmanager
    def _in_the_bundles_words(self, python: str, text: str) -> Iterator[None]:
        """Errors name the file, and a line as it is written there."""
        try:
            yield
        except ModelError as error:
            if error.source is None:
                what = error.what.replace(python, text) if python else error.what
                raise self._error(what, error.hint) from error
            raise

    def _error(self, what: str, hint: str | None = None) -> ModelError:
        return ModelError(what, source=self.source, hint=hint)


def _naming(references: dict[str, str]) -> Callable[[re.Match[str]], str]:
    """What stands in Python for each reference of a line; they are noted in `references`."""

    def name_of(match: re.Match[str]) -> str:
        return references.setdefault(match[1], f"reference_{len(references)}")

    return name_of
