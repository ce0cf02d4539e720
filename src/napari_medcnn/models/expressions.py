"""Work out the expressions of a bundle's configuration without ever running Python.

MONAI's own runner passes an expression (``$...``) to ``eval``. Here it is parsed with `ast` and
interpreted over a fixed list of node types and names; anything else is refused with its key.

Understood: constants, references, lists, tuples, dicts, arithmetic, comparisons,
``and``/``or``/``not``, ``a if c else b``, indexing, the functions of `FUNCTIONS`, the names of
`CONSTANTS`, and one ``lambda`` of one array as the whole expression (`ArrayFunction`).
"""

from __future__ import annotations

import ast
import operator
import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import ModelError

MAX_EXPRESSION_LENGTH = 2000
"""Characters; the model zoo's longest lines have some 200."""

MAX_SEQUENCE_LENGTH = 10_000
"""Of what ``range`` or a repetition may make; lists in configurations have a few entries."""


def _device(name: str = "cpu", index: int | None = None) -> str:
    return str(name) if index is None else f"{name}:{index}"


def _short_range(*bounds: int) -> list[int]:
    numbers = range(*bounds)
    if len(numbers) > MAX_SEQUENCE_LENGTH:
        raise ValueError(f"a range of {len(numbers)} numbers")
    return list(numbers)


@dataclass(frozen=True)
class StoredValue:
    """An entry of a file that the bundle would load; read by those who build the network."""

    path: str
    key: str


@dataclass(frozen=True)
class StoredFile:
    """A file that the bundle would load (``torch.load``); reading the configuration opens none."""

    path: str

    def __getitem__(self, key: str) -> StoredValue:
        return StoredValue(self.path, str(key))


def _stored(path: str) -> StoredFile:
    return StoredFile(str(path))


def _itself(value: Any) -> Any:
    return value


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "abs": abs,
    "bool": bool,
    "float": float,
    "int": int,
    "len": len,
    "list": list,
    "max": max,
    "min": min,
    "range": _short_range,
    "round": round,
    "sum": sum,
    "tuple": tuple,
    "os.path.join": posixpath.join,
    "torch.cuda.device_count": lambda: 0,
    "torch.cuda.is_available": lambda: False,
    "torch.device": _device,
    "torch.from_numpy": _itself,
    "torch.load": _stored,
    "torch.logical_and": np.logical_and,
    "torch.logical_not": np.logical_not,
    "torch.logical_or": np.logical_or,
    "torch.zeros_like": np.zeros_like,
    "torch.where": np.where,
}
"""What an expression may call. The device is this package's choice, so a bundle never sees CUDA."""

LEFT_OUT: Mapping[str, frozenset[str]] = {
    "torch.load": frozenset({"map_location", "weights_only"}),
}
"""Named arguments that may stand in a call of `FUNCTIONS` and change nothing here."""

CONSTANTS: Mapping[str, Any] = {
    f"{module}.{dtype}": getattr(np, dtype)
    for module in ("torch", "numpy", "np")
    for dtype in ("float16", "float32", "float64", "uint8", "int16", "int32", "int64")
}
"""Dotted names that stand for a value; torch's types are given as numpy's, MONAI takes either."""

_BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
}
_UNARY: Mapping[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
    ast.Invert: operator.invert,
}
_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_CALCULATION_ERRORS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class _Refused(Exception):
    """The expression holds something outside the list; the text says what."""


@dataclass(frozen=True)
class ArrayFunction:
    """A ``$lambda x: ...`` of a bundle, interpreted on arrays.

    Parameters
    ----------
    text : str
        The expression, without ``$``.
    key : str
        Where it stands in the configuration, for errors.
    names : dict
        Values of its references.
    """

    text: str
    key: str
    names: dict[str, Any]

    def __call__(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The function's value for `array`.

        Raises
        ------
        ModelError
            When it holds anything that is not interpreted.
        """
        body = _parse(self.text, self.key).body
        if not isinstance(body, ast.Lambda):  # made by `evaluate`, which looked before
            raise TypeError(f"{self.text} is no lambda")
        names = {**self.names, body.args.args[0].arg: array}
        return np.asarray(_interpret(body.body, names, self.text, self.key))


def evaluate(text: str, key: str = "", names: Mapping[str, Any] | None = None) -> Any:
    """The value of one expression, without its ``$``; `names` are what it may refer to.

    Raises
    ------
    ModelError
        When it asks for anything that is not interpreted, or cannot be calculated.
    """
    body = _parse(text, key).body
    known = dict(names or {})
    if isinstance(body, ast.Lambda):
        a = body.args
        others = (a.posonlyargs, a.kwonlyargs, a.defaults, a.vararg, a.kwarg)
        if len(a.args) != 1 or any(others):
            raise _refusal(key, text, "a lambda of other than one argument")
        return ArrayFunction(text, key, known)
    return _interpret(body, known, text, key)


def _parse(text: str, key: str) -> ast.Expression:
    if len(text) > MAX_EXPRESSION_LENGTH:
        raise _refusal(key, f"{text[:60]}…", "an expression of that length")
    try:
        return ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _refusal(key, text, "no single expression") from error


def _interpret(node: ast.expr, names: Mapping[str, Any], text: str, key: str) -> Any:
    try:
        return _value(node, names)
    except _Refused as refused:
        raise _refusal(key, text, str(refused)) from None
    except RecursionError as error:
        raise _refusal(key, text, "too deep a nesting") from error
    except _CALCULATION_ERRORS as error:
        raise ModelError(f"{key} cannot be calculated: {text} ({error})") from error


def _refusal(key: str, text: str, what: str) -> ModelError:
    return ModelError(
        f"{key or 'an expression'} asks to run Python code that is not interpreted, refused: "
        f"{text} ({what})",
        hint="only constants, references, arithmetic, conditions and a few functions are read",
    )


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None as value):
            return value
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.List(elts=items):
            return [_value(item, names) for item in items]
        case ast.Tuple(elts=items):
            return tuple(_value(item, names) for item in items)
        case ast.Dict(keys=keys, values=values) if None not in keys:
            pairs = zip(keys, values, strict=True)
            return {_value(k, names): _value(v, names) for k, v in pairs if k is not None}
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            return _UNARY[type(op)](_value(operand, names))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _calculate(type(op), _value(left, names), _value(right, names))
        case ast.BoolOp(op=op, values=values):
            return _joined(op, values, names)
        case ast.Compare(left=left, ops=ops, comparators=others):
            return _compared(_value(left, names), ops, others, names)
        case ast.IfExp(test=test, body=body, orelse=other):
            return _value(body if _value(test, names) else other, names)
        case ast.Subscript(value=inner, slice=index):
            return _value(inner, names)[_index(index, names)]
        case ast.Attribute() if _dotted(node) in CONSTANTS:
            return CONSTANTS[_dotted(node)]
        case ast.Call(func=function, args=arguments) if _may_call(node):
            return FUNCTIONS[_dotted(function)](*(_value(a, names) for a in arguments))
        case ast.Call(func=function):
            raise _Refused(f"a call of {ast.unparse(function)}")
        case ast.Name(id=name):
            raise _Refused(f"the name {name}")
    raise _Refused(f"{type(node).__name__}: {ast.unparse(node)}")


def _may_call(call: ast.Call) -> bool:
    name = _dotted(call.func)
    named = {keyword.arg for keyword in call.keywords}
    return name in FUNCTIONS and named <= LEFT_OUT.get(name, frozenset())


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _index(node: ast.expr, names: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Slice):
        ends = (node.lower, node.upper, node.step)
        return slice(*(None if end is None else _value(end, names) for end in ends))
    if isinstance(node, ast.Tuple):
        return tuple(_index(part, names) for part in node.elts)
    return _value(node, names)


def _joined(op: ast.boolop, values: list[ast.expr], names: Mapping[str, Any]) -> Any:
    result: Any = None
    for value in values:
        result = _value(value, names)
        if bool(result) is isinstance(op, ast.Or):
            break
    return result


def _compared(
    left: Any, ops: list[ast.cmpop], others: list[ast.expr], names: Mapping[str, Any]
) -> Any:
    result: Any = True
    for op, other in zip(ops, others, strict=True):
        right = _value(other, names)
        result = _COMPARE[type(op)](left, right)
        if len(ops) > 1 and not result:
            break
        left = right
    return result


def _calculate(op: type[ast.operator], left: Any, right: Any) -> Any:
    """A binary operation, without those that a hostile bundle could fill the memory with."""
    if op is ast.Mod and isinstance(left, str):
        raise _Refused("text formatting")
    if op is ast.Pow and not (abs(left) <= 1e6 and abs(right) <= 64):
        raise _Refused("so large a power")
    lengths = [len(part) for part in (left, right) if isinstance(part, str | list | tuple)]
    if op is ast.Add and sum(lengths) > MAX_SEQUENCE_LENGTH:
        raise _Refused("so long a list or text")
    if op is ast.Mult and lengths:
        times = right if isinstance(right, int) else left
        if lengths[0] * int(times) > MAX_SEQUENCE_LENGTH:
            raise _Refused("so long a repetition")
    return _BINARY[op](left, right)
