from __future__ import annotations

import numpy as np
import pytest

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.expressions import ArrayFunction, evaluate


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[1.5, 1.5, 2] if True else [3, 3, 3]", [1.5, 1.5, 2]),
        ("'a' + '/models/' + 'b.pt'", "a/models/b.pt"),
        ("2 ** 5 - 3 * 4 // 5 % 7", 2**5 - 3 * 4 // 5 % 7),
        ("-1 if 2 < 3 <= 3 != 4 else 0", -1),
        ("not (1 in [2, 3] or None is not None)", True),
        ("{'a': (1, 2)}['a'][-1]", 2),
        ("[1, 2, 3, 4][1:3]", [2, 3]),
        ("torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')", "cpu"),
        ("numpy.float32", np.float32),
        ("torch.float32", np.float32),
        ("os.path.join('models', 'model.pt')", "models/model.pt"),
        ("list(range(3)) + [len((1, 2))]", [0, 1, 2, 2]),
        ("max(1, int(2.7)) and ''", ""),
    ],
)
def test_the_usual_expressions_have_pythons_value(text: str, value: object) -> None:
    assert evaluate(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch pwned')",
        "().__class__.__bases__[0].__subclasses__()",
        "open('/etc/passwd').read()",
        "eval('1')",
        "exec('import os')",
        "getattr(1, 'real')",
        "torch.load('x', pickle_module=1)",
        "torch.hub.load('a', 'b')",
        "monai.utils.set_determinism(seed=1)",
        "[x for x in (1, 2)]",
        "f'{1}'",
        "(lambda: 1)()",
        "lambda x, y: x",
        "lambda *x: x",
        "(y := 1)",
        "print",
        "int.__doc__",
        "'%1000000000d' % 1",
        "'a' * 10 ** 9",
        "[0] * 10 ** 9",
        "9 ** 9 ** 9 ** 9",
        "range(10 ** 12)",
        "torch.device(index=3)",
        "1; 2",
        "import os",
        "(" * 500 + ")" * 500,
        "-" * 1900 + "1",
        "1 +" * 1000 + "1",
        "await x",
        "b'bytes'",
        "1j",
        "[*(1, 2)]",
        "{**{}}",
    ],
)
def test_anything_else_is_refused_with_its_key(text: str) -> None:
    with pytest.raises(ModelError, match="initialize#0"):
        evaluate(text, "initialize#0")


def test_a_refusal_says_what_was_asked_for() -> None:
    with pytest.raises(ModelError, match=r"asks to run Python code .* refused: os.system\('ls'\)"):
        evaluate("os.system('ls')", "run")


def test_what_cannot_be_calculated_is_no_refusal() -> None:
    with pytest.raises(ModelError, match="cannot be calculated"):
        evaluate("[1][3]", "run")


def test_an_array_function_gives_torchs_result() -> None:
    import torch

    text = "lambda x: torch.where(x[[2]] > 0, 4, torch.where(x[[0]] > 0, 1, x[[1]] * 2))"
    function = evaluate(text, "func")
    assert isinstance(function, ArrayFunction)
    classes = np.random.default_rng(0).integers(0, 2, (3, 4, 5, 6))
    expected = eval(text, {"torch": torch})(torch.from_numpy(classes))
    np.testing.assert_array_equal(function(classes), expected.numpy())


def test_an_array_function_is_refused_when_it_does_more() -> None:
    function = evaluate("lambda x: x.tofile('stolen')", "func")
    with pytest.raises(ModelError, match="refused"):
        function(np.zeros(3))
