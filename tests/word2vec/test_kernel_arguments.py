"""Whatever the word2vec engine cannot work with is refused by name, before a row is touched."""

import numpy as np
import pytest

from logq.huffman import HuffmanTree
from logq.kernels import _native
from logq.word2vec.kernel import Setup, alias_cells, keep_thresholds, simd_levels, table, train

V, STRIDE = 6, 16


def arguments(**changes):
    """What works, with some of it replaced: arguments of `train`, or fields of its Setup."""
    ones = np.ones(V)
    setup = {"keep": keep_thresholds(ones), "window": 2, "cells": alias_cells(ones)}
    given = {
        "inputs": table(V, STRIDE),
        "outputs": table(V, STRIDE),
        "ids": np.arange(V, dtype=np.int32),
        "begin": 0,
        "end": V,
        "position": 0,
        "seed": 1,
        "rate": (0.1, 0.0, 0.0),
    }
    for name, value in changes.items():
        (given if name in given else setup)[name] = value
    return given, setup


def call(**changes):
    given, setup = arguments(**changes)
    return train(setup=Setup(**setup), **given)


def unaligned():
    return np.zeros(V * STRIDE + 32, np.float32)[1 : 1 + V * STRIDE].reshape(V, STRIDE)


def read_only():
    made = table(V, STRIDE)
    made.flags.writeable = False
    return made


def ids_with(value):
    ids = np.arange(V, dtype=np.int32)
    ids[4] = value
    return ids


def cells_with(alias):
    cells = alias_cells(np.ones(V))
    cells[3] = np.uint64(alias) << np.uint64(32)
    return cells


def tree(offsets=None, points=None, codes=None):
    """Two levels of a tree over six words, with a part replaced."""
    good = HuffmanTree.from_counts([4, 3, 2, 2, 1, 1])
    parts = zip((offsets, points, codes), (good.offsets, good.points, good.codes), strict=True)
    return HuffmanTree(*(right if wrong is None else wrong for wrong, right in parts))


def test_what_is_changed_below_works():
    assert call().pairs > 0
    assert call(tree=tree(), outputs=table(V - 1, STRIDE)).pairs > 0


TABLES = [
    ("inputs", table(V, STRIDE).astype(np.float64), TypeError, "dtype float32, got dtype float64"),
    ("inputs", [[0.0]], TypeError, "numpy array"),
    ("inputs", table(V, STRIDE).ravel(), ValueError, "2 dimensions"),
    ("inputs", table(V, 2 * STRIDE)[:, ::2], ValueError, "contiguous"),
    ("inputs", np.zeros((V, 8), np.float32), ValueError, "multiple of 16"),
    ("inputs", np.zeros((V, 0), np.float32), ValueError, "multiple of 16"),
    ("inputs", table(V - 1, STRIDE), ValueError, "numbers"),  # `keep` says how many words there are
    ("inputs", unaligned(), ValueError, "aligned to 64 bytes"),
    ("inputs", read_only(), ValueError, "read only"),
    ("outputs", unaligned(), ValueError, "aligned to 64 bytes"),
    ("outputs", table(V - 1, STRIDE), ValueError, r"\(6, 16\), got \(5, 16\)"),
    ("outputs", table(V, 2 * STRIDE), ValueError, r"\(6, 16\), got \(6, 32\)"),
    ("outputs", read_only(), ValueError, "read only"),
]
ARRAYS = [
    ("ids", np.arange(V), TypeError, "int32"),
    ("ids", np.zeros((V, 1), np.int32), ValueError, "1 dimensions"),
    ("ids", np.zeros(2 * V, np.int32)[::2], ValueError, "contiguous"),
    ("ids", ids_with(V), ValueError, "below 6, got 6 at position 4"),
    ("ids", ids_with(2**31 - 1), ValueError, "got 2147483647 at position 4"),
    ("keep", np.zeros(V, np.int32), TypeError, "uint32"),
    ("keep", np.zeros(V - 1, np.uint32), ValueError, "6 numbers, got 5"),
    ("cells", np.zeros(V, np.int64), TypeError, "uint64"),
    ("cells", np.zeros(0, np.uint64), ValueError, "6 numbers, got 0"),
    ("cells", cells_with(V), ValueError, r"\[0, 6\), got 6 for word 3"),
    ("cells", cells_with(2**32 - 1), ValueError, "got -1 for word 3"),
]
NUMBERS = [
    ("begin", -1, ValueError, ">= 0, got -1"),
    ("begin", V + 1, ValueError, "begin <= end"),
    ("begin", 1.5, TypeError, "integer"),
    ("end", V + 1, ValueError, "<= 6, got 0, 7"),
    ("end", -1, ValueError, ">= 0"),
    ("position", -1, ValueError, ">= 0, got -1"),
    ("position", 2**62 + 1, ValueError, "at most"),
    ("position", 2**70, ValueError, "at most"),
    ("seed", -1, ValueError, ">= 0"),
    ("seed", 2**64, ValueError, "at most"),
    ("rate", (float("nan"), 0.0, 0.0), ValueError, "finite"),
    ("rate", (0.1, float("inf"), 0.0), ValueError, "finite"),
    ("rate", (0.1, 0.0, "0"), TypeError, "finite"),
    ("window", 0, ValueError, ">= 1"),
    ("window", 10_001, ValueError, "at most 10,000"),
    ("window", 2**40, ValueError, "at most"),
    ("window", 5.0, TypeError, "integer"),
    ("negatives", 0, ValueError, ">= 1"),
    ("negatives", 10_001, ValueError, "at most 10,000"),
    ("block", 0, ValueError, ">= 1"),
    ("block", 65, ValueError, "at most 64"),
    ("pool", -1, ValueError, ">= 0"),
    ("pool", 2**20 + 1, ValueError, "at most"),
    ("threads", 0, ValueError, ">= 1"),
    ("threads", 2**40, ValueError, "at most"),
    ("simd", "sse9", ValueError, "generic, which run here, got 'sse9'"),
    ("simd", None, TypeError, "a name"),
    ("skip_gram", 1, TypeError, "True or False"),
    ("mean", None, TypeError, "True or False"),
    ("shared", "no", TypeError, "True or False"),
]


@pytest.mark.parametrize(("name", "value", "error", "message"), TABLES + ARRAYS + NUMBERS)
def test_bad_arguments_are_named(name, value, error, message):
    given, setup = arguments(**{name: value})
    before = given["outputs"].copy()
    with pytest.raises(error, match=message) as caught:
        train(setup=Setup(**setup), **given)
    named = "keep" if message == "numbers" else name
    assert named in str(caught.value).split(":")[0]
    assert np.array_equal(given["outputs"], before)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("offsets", np.zeros(V, np.int64), "7 numbers, got 6"),
        ("offsets", tree().offsets - 1, "got -1"),
        ("offsets", tree().offsets + 10, "for word"),
        ("offsets", tree().offsets[::-1].copy(), "for word 0"),
        ("offsets", np.array([0, 0, 0, 0, 0, 0, 2**62]), "for word 5"),
        ("points", tree().points - 1, r"\[0, 5\), got -1 at position"),
        ("points", tree().points + 1, "got 5 at position"),
        ("points", tree().points[:-1], "offsets|codes"),
        ("codes", tree().codes[:-1], "numbers, got"),
    ],
)
def test_broken_trees_are_named(name, value, message):
    with pytest.raises(ValueError, match=message):
        call(tree=tree(**{name: value}), outputs=table(V - 1, STRIDE))


def test_a_tree_of_endless_paths_is_refused():
    """Its window would need a number for each node and word: 2 * 10,000 * 2**31 of them."""
    points = np.zeros(20_000, np.int32)
    offsets = np.array([0, 0, 0, 0, 0, 0, 20_000])
    with pytest.raises(ValueError, match=r"offsets: .* at most 10000"):
        call(tree=tree(offsets, points, np.zeros(20_000, np.uint8)), outputs=table(V - 1, STRIDE))


def test_trees_of_other_dtypes_are_named():
    with pytest.raises(TypeError, match="points: expected a numpy array of dtype int32"):
        call(tree=tree(points=tree().points.astype(np.int64)), outputs=table(V - 1, STRIDE))


def test_both_tables_in_one_place_are_refused():
    both = table(V, STRIDE)
    with pytest.raises(ValueError, match="outputs: expected its own memory"):
        call(inputs=both, outputs=both)


def test_a_vocabulary_without_words_is_refused():
    with pytest.raises(ValueError, match="inputs: expected 1 to"):
        call(
            inputs=table(0, STRIDE), outputs=table(0, STRIDE), keep=np.zeros(0, np.uint32), cells=np.zeros(0, np.uint64)
        )


def test_the_compiled_function_checks_for_itself():
    """What the module above it has checked already: nobody can reach foreign memory through the core."""
    given, setup = arguments()
    rest = {"offsets": np.zeros(0, np.int64), "points": np.zeros(0, np.int32), "codes": np.zeros(0, np.uint8)}
    rest |= {"negatives": 5, "skip_gram": True, "mean": True, "shared": True, "block": 1, "shrink": True}
    rest |= {"pool": 0, "rate_start": 0.1, "rate_slope": 0.0, "rate_floor": 0.0, "threads": 1, "simd": "auto"}
    rest |= {"loss_every": 64, "part_offsets": np.zeros(0, np.int64), "parts": np.zeros(0, np.int32)}
    rest |= {"shares": np.zeros(0, np.uint64), "input_partition": 0, "output_partition": 0}
    del given["rate"]
    for name, value in [
        ("begin", -1),
        ("end", V + 1),
        ("position", -1),
        ("position", 2**62 + 1),
        ("window", 0),
        ("window", 2**31 - 1),
        ("negatives", 0),
        ("negatives", 2**31 - 1),
        ("block", 0),
        ("pool", -1),
        ("threads", 0),
        ("loss_every", 0),
        ("loss_every", 3),
        ("rate_start", float("nan")),
        ("rate_slope", float("inf")),
        ("input_partition", 1),
        ("output_partition", -1),
        ("shares", np.zeros(V + 1, np.uint64)),
        ("shares", np.zeros(2, np.uint64)),
    ]:
        about = "partitions|inputs" if name in ("input_partition", "output_partition", "shares") else name.split("_")[0]
        with pytest.raises(ValueError, match=about):
            _native.word2vec_train(**{**given, **setup, **rest, name: value})
    for name in ("inputs", "ids", "keep", "cells", "offsets", "codes", "shares"):
        with pytest.raises(TypeError):
            _native.word2vec_train(**{**given, **setup, **rest, name: np.zeros(V, np.complex64)})


@pytest.mark.parametrize("level", simd_levels())
def test_the_widest_window_and_the_most_negatives_need_no_more_memory_than_they_touch(level):
    options = {"window": 10_000, "negatives": 10_000, "simd": level, "pool": 2**20}
    assert call(**options).pairs > 0
    assert call(**options, shared=False).pairs > 0
    assert call(**options, skip_gram=False).pairs > 0
    assert call(**options, block=64).pairs > 0


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
def test_probabilities_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=r"probability: .* for word 1"):
        keep_thresholds(np.array([1.0, wrong]))
