"""A call written in a bundle's configuration, taken apart without being made."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.expressions import MAX_EXPRESSION_LENGTH, evaluate


@dataclass(frozen=True)
class Call:
    """What is written: the function's dotted name, and the texts of its arguments."""

    function: str
    positional: tuple[str, ...]
    named: Mapping[str, str]


def taken_apart(text: str) -> Call | None:
    """The one call that an expression consists of; None where it is anything else."""
    if len(text) > MAX_EXPRESSION_LENGTH:
        return None
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if not isinstance(node, ast.Call) or any(isinstance(a, ast.Starred) for a in node.args):
        return None
    function = _dotted(node.func)
    named = {k.arg: ast.unparse(k.value) for k in node.keywords if k.arg is not None}
    if not function or len(named) < len(node.keywords):
        return None
    return Call(function, tuple(ast.unparse(a) for a in node.args), named)


def bound(
    call: Call, parameters: Sequence[str], key: str, names: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments' values by the names of their parameters, worked out by the interpreter.

    Parameters
    ----------
    parameters : sequence of str
        All that may be given, in the function's order.
    key : str
        Where the call stands, for errors.
    names : dict
        What the arguments may refer to.

    Raises
    ------
    ModelError
        When an argument is none of `parameters`, stands twice, or asks to run code.
    """
    unknown = [name for name in call.named if name not in parameters]
    if unknown or len(call.positional) > len(parameters):
        raise ModelError(
            f"{key}: the arguments {', '.join(unknown) or 'in that number'} of {call.function} "
            "are not supported"
        )
    texts = dict(zip(parameters, call.positional, strict=False))
    twice = sorted(texts.keys() & call.named.keys())
    if twice:
        raise ModelError(f"{key}: {', '.join(twice)} of {call.function} is given twice")
    return {name: evaluate(text, key, names) for name, text in {**texts, **call.named}.items()}


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        inner = _dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return node.id if isinstance(node, ast.Name) else ""
