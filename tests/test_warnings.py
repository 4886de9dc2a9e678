"""Warnings tell of a line of the caller's, however deep in this library, or behind torch, they arise."""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import logq
from logq import Word2Vec
from logq._warnings import warn

SOURCES = Path(logq.__file__).parent


def ours(source: str) -> dict[str, Any]:
    """The names of a module of this library with that source."""
    module = ModuleType("logq.made_up")
    module.__dict__.update(warn=warn, torch=torch, contextlib=contextlib)
    exec(source, module.__dict__)
    return module.__dict__


def lines(caught: list[warnings.WarningMessage]) -> Iterator[str]:
    for one in caught:
        yield Path(one.filename).read_text(encoding="utf-8").splitlines()[one.lineno - 1].strip()


def test_is_the_line_that_called_the_library() -> None:
    made = ours(
        "def inner(): warn('odd')\n"
        "def outer(): inner()\n"
        "class Module(torch.nn.Module):\n"
        "    def forward(self): outer()\n"
        "@contextlib.contextmanager\n"
        "def block():\n"
        "    outer()\n"
        "    yield\n"
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made["inner"]()
        made["outer"]()
        made["Module"]()()  # through torch's __call__
        with made["block"]():
            pass
    assert list(lines(caught)) == [
        'made["inner"]()',
        'made["outer"]()',
        'made["Module"]()()  # through torch\'s __call__',
        'with made["block"]():',
    ]


def test_a_constructor_of_options_and_a_fit_are_told_by_their_calls() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = Word2Vec(dim=4, hs=True, num_sampled=7, min_count=1, epochs=1, sample=1e-3)
        model.fit([["a", "b"] * 400], progress=False)
    assert [str(one.message)[:6] for one in caught] == ["num_sa", "sample"]
    assert list(lines(caught)) == [
        "model = Word2Vec(dim=4, hs=True, num_sampled=7, min_count=1, epochs=1, sample=1e-3)",
        'model.fit([["a", "b"] * 400], progress=False)',
    ]


def test_a_category_is_kept() -> None:
    with pytest.warns(FutureWarning, match="soon"):
        warn("soon", FutureWarning)


def test_no_level_is_counted_by_hand() -> None:
    counted = [path for path in SOURCES.rglob("*.py") if "stacklevel" in path.read_text(encoding="utf-8")]
    assert counted == [SOURCES / "_warnings.py"]
