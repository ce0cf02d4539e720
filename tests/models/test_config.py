from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.config import Config


def config(**content: Any) -> Config:
    return Config(content, Path("inference.json"))


def test_references_and_macros_are_followed_into_nested_values() -> None:
    c = config(a={"b": [1, {"c": "@d"}]}, d=7, e="%a", f="$@a#b#0 + @a::b::1::c")
    assert c.value("e") == {"b": [1, {"c": 7}]}
    assert c.value("f") == 8


def test_only_what_is_asked_for_is_worked_out() -> None:
    c = config(run=["$__import__('os').system('x')"], network={"_target_": "UNet"})
    assert c.value("network") == {"_target_": "UNet"}
    with pytest.raises(ModelError, match=r"run#0 asks to run Python code"):
        c.value("run")


def test_a_circle_of_references_is_an_error() -> None:
    with pytest.raises(ModelError, match="refers to itself"):
        config(a="@b", b="$@a + 1").value("a")


def test_a_chain_that_doubles_with_every_link_takes_no_time() -> None:
    links = {f"k{n}": [f"@k{n + 1}", f"@k{n + 1}"] for n in range(40)}
    assert len(config(**links, k40=1).value("k0")) == 2


def test_a_missing_reference_and_another_file_are_errors() -> None:
    with pytest.raises(ModelError, match="nothing stands at the key b"):
        config(a="@b").value("a")
    with pytest.raises(ModelError, match="another file"):
        config(a="%other.json::b").value("a")


def test_errors_name_the_file_and_the_expression_as_it_is_written() -> None:
    with pytest.raises(ModelError) as caught:
        config(a="$open(@b)", b="x").value("a")
    assert caught.value.source == "inference.json"
    assert "open(@b)" in str(caught.value)
