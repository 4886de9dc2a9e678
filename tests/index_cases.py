"""All kinds of indexes as parameters; those whose libraries are not installed are skipped."""

import importlib.util

import pytest

from logq.retrieval import INDEX_KINDS
from logq.retrieval.index_registry import INDEXES

INSTALLED = tuple(
    kind for kind in INDEX_KINDS if not INDEXES[kind].library or importlib.util.find_spec(INDEXES[kind].library)
)
KINDS = [
    kind
    if kind in INSTALLED
    else pytest.param(kind, marks=pytest.mark.skip(reason=f"{INDEXES[kind].library} is not installed"))
    for kind in INDEX_KINDS
]

every_kind = pytest.mark.parametrize("kind", KINDS)
