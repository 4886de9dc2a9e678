"""The word2vec engine gives what a student's loop gives, for every kind, level and size."""

import itertools

import numpy as np
import pytest

from logq.huffman import HuffmanTree
from logq.word2vec.kernel import Setup, alias_cells, keep_thresholds, simd_levels, table, train
from word2vec_cases import KINDS, make_setup, make_text, with_options
from word2vec_loop import Student, plan

DIMS, NEGATIVES, WINDOWS, WORDS = (1, 3, 16, 17, 100), (1, 5, 7, 20), (1, 5, 12), (2, 3, 8, 60)


def make_tables(setup, dim, rng):
    """Rows so long that dot products are about 1."""
    words = len(setup.keep)
    tables = table(words, dim), table(words if setup.tree is None else words - 1, dim)
    for made in tables:
        made[:, :dim] = rng.normal(size=(len(made), dim)) * dim**-0.25
    return tables


def assert_equals_the_loop(setup, dim, ids, rng, levels=None, begin=0, end=None, **place):
    """Train with all levels, and hold tables, pairs and loss to the loop; return it."""
    place = {"begin": begin, "end": len(ids) if end is None else end, "position": 1000, "seed": 2**63 + 5, **place}
    tables = make_tables(setup, dim, rng)
    student = Student(*(made[:, :dim] for made in tables), setup)
    blocks = plan(ids, setup, **place)
    student.train(blocks)
    for level in levels or simd_levels():
        inputs, outputs = (aligned_copy(made) for made in tables)
        losses = train(inputs, outputs, ids, with_options(setup, simd=level), **place)
        np.testing.assert_allclose(inputs[:, :dim], student.inputs, rtol=1e-5, atol=1e-5, err_msg=level)
        np.testing.assert_allclose(outputs[:, :dim], student.outputs, rtol=1e-5, atol=1e-5, err_msg=level)
        assert not inputs[:, dim:].any()
        assert not outputs[:, dim:].any()
        assert (losses.pairs, losses.loss_pairs) == (student.pairs, student.loss_pairs)
        np.testing.assert_allclose(losses.loss_sum, student.loss, rtol=1e-4, atol=1e-6)
    return student, blocks


def aligned_copy(made):
    copy = table(len(made), made.shape[1])
    copy[:] = made
    return copy


def check_case(kind, dim, negatives, window, words):
    rng = np.random.default_rng([dim, negatives, window, words])
    setup = make_setup(words, rng=rng, negatives=negatives, window=window, **KINDS[kind])
    # As many pairs meet in a row as there are: with a usual rate two words of a window of 24 would fly apart.
    rate = (min(0.2, 2 / (window * negatives)), 1e-6, 1e-3)
    place = {"rate": rate, "seed": int(rng.integers(2**63)), "position": int(rng.integers(2**40))}
    return assert_equals_the_loop(setup, dim, make_text(words, 30, rng), rng, begin=2, end=27, **place)


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_are_the_loop(kind, dim):
    for at, negatives in enumerate(NEGATIVES):
        row = at + DIMS.index(dim) + list(KINDS).index(kind)
        check_case(kind, dim, negatives, WINDOWS[row % 3], WORDS[(row + row // 3) % 4])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_and_sizes_are_the_loop(kind):
    for case in itertools.product(DIMS, NEGATIVES, WINDOWS, WORDS):
        check_case(kind, *case)


@pytest.mark.parametrize("kind", KINDS)
def test_long_texts_are_the_loop(kind):
    """Several units of 1024 entries and sentences that go over their ends, many words left out."""
    rng = np.random.default_rng(3)
    setup = make_setup(30, rng=rng, negatives=5, window=4, **KINDS[kind])
    setup = with_options(setup, keep=keep_thresholds(rng.uniform(0, 0.4, size=30)))
    ids = make_text(30, 3500, rng, sentence=400)
    student, blocks = assert_equals_the_loop(setup, 3, ids, rng, begin=17, end=3400, rate=(0.05, 1e-5, 0.02))
    assert student.loss_pairs > 0
    # The rate reaches its floor on the way.
    assert len({block.rate for block in blocks}) > 10
    assert blocks[-1].rate == 0.02


def test_the_cases_have_repeats_and_hits():
    """What the comparison is there for does occur in it."""
    rng = np.random.default_rng([3, 5, 5, 8])
    setup = make_setup(8, rng=rng, negatives=5, window=5)
    ids = make_text(8, 30, rng)
    blocks = plan(ids, setup, begin=0, end=30, position=0, seed=1, rate=(0.1, 0, 0))
    assert any(block.centers[0].word in block.negatives[0] for block in blocks)
    assert any(len(set(block.negatives[0])) < 5 for block in blocks)
    contexts = [block.centers[0].context for block in blocks]
    assert any(len(set(context)) < len(context) for context in contexts)


@pytest.mark.parametrize("block", [1, 3])
def test_all_rows_of_a_block_see_the_other_table_as_it_was(block):
    """By hand: word 0 between two 1s, every negative a 2. Both pairs count, from the same values."""
    cells = alias_cells(np.array([0.0, 0.0, 1.0]))
    setup = Setup(keep_thresholds(np.ones(3)), window=1, cells=cells, negatives=2, pool=0, block=block)
    inputs, outputs = table(3, 1), table(3, 1)
    inputs[:, 0], outputs[:, 0] = [0.3, 0.5, 0.7], [0.2, 0.4, -0.6]
    train(inputs, outputs, np.array([1, 0, 1], np.int32), setup, begin=1, end=2, position=0, seed=1, rate=(1.0, 0, 0))
    near, far = (1 / (1 + np.exp(-0.5 * y)) for y in (0.2, -0.6))
    expected = 0.5 + 2 * ((1 - near) * 0.2 - 2 * far * -0.6)  # two 1s, and two negatives each
    np.testing.assert_allclose(inputs[:, 0], [0.3, expected, 0.7], rtol=1e-6)
    np.testing.assert_allclose(outputs[:, 0], [0.2 + 2 * (1 - near) * 0.5, 0.4, -0.6 - 2 * 2 * far * 0.5], rtol=1e-6)


def test_in_order_a_second_negative_meets_the_row_as_the_first_left_it():
    cells = alias_cells(np.array([0.0, 0.0, 1.0]))
    setup = Setup(keep_thresholds(np.ones(3)), window=1, cells=cells, negatives=2, shared=False)
    inputs, outputs = table(3, 1), table(3, 1)
    inputs[:, 0], outputs[:, 0] = [0.3, 0.5, 0.7], [0.2, 0.4, -0.6]
    train(inputs, outputs, np.array([1, 0], np.int32), setup, begin=1, end=2, position=0, seed=1, rate=(1.0, 0, 0))
    once = -0.6 - 0.5 / (1 + np.exp(0.3))
    twice = once - 0.5 / (1 + np.exp(-0.5 * once))
    np.testing.assert_allclose(outputs[:, 0], [0.2 + 0.5 / (1 + np.exp(0.1)), 0.4, twice], rtol=1e-6)


def train_in_parts(setup, ids, cuts, tables, **place):
    inputs, outputs = (aligned_copy(made) for made in tables)
    results = [
        train(inputs, outputs, ids, setup, begin=begin, end=end, **place) for begin, end in itertools.pairwise(cuts)
    ]
    return inputs, outputs, sum(part.pairs for part in results), sum(part.loss_pairs for part in results)


@pytest.mark.parametrize("level", simd_levels())
@pytest.mark.parametrize("kind", KINDS)
def test_one_thread_gives_the_same_bits_however_the_text_is_cut(kind, level):
    """Anywhere if nothing is shared by words that stand far from each other, else between units."""
    rng = np.random.default_rng(8)
    setup = make_setup(40, rng=rng, window=5, simd=level, **KINDS[kind])
    ids, tables = make_text(40, 4300, rng), make_tables(setup, 10, rng)
    place = {"position": 70, "seed": 9, "rate": (0.05, 1e-6, 1e-3)}
    whole = train_in_parts(setup, ids, [50, 4290], tables, **place)
    free = setup.tree is not None or (setup.block == 1 and (setup.pool == 0 or not setup.shared))
    cuts = [50, 51, 60, 60, 777, 1500, 3333, 4289, 4290] if free else [50, 50 + 1024, 50 + 3 * 1024, 4290]
    for one, other in zip(whole, train_in_parts(setup, ids, cuts, tables, **place), strict=True):
        assert np.array_equal(one, other)
    again = train_in_parts(setup, ids, [50, 4290], tables, **place)
    assert all(np.array_equal(one, other) for one, other in zip(whole, again, strict=True))
    # A window of text around each part is as good as all of it.
    inputs, outputs = (aligned_copy(made) for made in tables)
    near = ids[20:]
    train(inputs, outputs, near, setup, begin=30, end=4270, position=90, seed=9, rate=place["rate"])
    assert ids[50 - 30 : 50].min() == -1, "no sentence reaches further back"
    assert np.array_equal(inputs, whole[0])
    assert np.array_equal(outputs, whole[1])


def test_sentences_do_not_see_each_other():
    setup = Setup(keep_thresholds(np.ones(4)), window=8, cells=alias_cells(np.ones(4)), pool=0)
    ids = np.array([0, 1, -1, 2, 3, -7, 0, -1, -1, 1], np.int32)
    inputs, outputs = table(4, 3), table(4, 3)
    inputs[:] = 0.1
    place = {"position": 0, "seed": 3, "rate": (0.1, 0, 0)}
    assert train(inputs, outputs, ids, setup, begin=0, end=10, **place).pairs == 4
    assert train(inputs, outputs, ids, setup, begin=5, end=9, **place).pairs == 0


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_absent_words_keep_their_bits(kind):
    """Words 5 to 9 are not in the text and never drawn."""
    rng = np.random.default_rng(1)
    weights = np.array([1.0] * 5 + [0.0] * 5)
    options = {"tree": HuffmanTree.from_counts(weights + 1)} if KINDS[kind].get("tree") else {}
    options = {**KINDS[kind], "cells": alias_cells(weights), **options}
    setup = Setup(keep_thresholds(np.ones(10)), window=3, **options)
    tables = make_tables(setup, 20, rng)
    ids = make_text(5, 500, rng)
    inputs, outputs, *_ = train_in_parts(setup, ids, [0, 500], tables, position=0, seed=1, rate=(0.05, 0, 0))
    assert np.array_equal(inputs[5:], tables[0][5:])
    assert (inputs[:5, :20] != tables[0][:5, :20]).any(axis=1).all()
    if setup.tree is None:
        assert np.array_equal(outputs[5:], tables[1][5:])
    for made in (inputs, outputs):
        assert not made[:, 20:].any()


@pytest.mark.parametrize("threads", [2, 3, 4, 64], ids=["two", "three", "four", "many"])
@pytest.mark.parametrize("kind", KINDS)
def test_threads_train_every_word(kind, threads):
    """Threads see one another's rows late, and one that is held up at the wrong moment takes back what others did.

    How much is up to the scheduler: with five busy processes beside it, one run in some hundred correlates with the
    single thread's by less than 0.9. So the best of at most five runs is held to the bound, and each to the rest.
    """
    rng = np.random.default_rng(2)
    setup = make_setup(300, rng=rng, window=5, **KINDS[kind])
    ids, tables = make_text(300, 9000, rng), make_tables(setup, 20, rng)
    place = {"position": 0, "seed": 9, "rate": (0.002, 0, 0)}
    alone = train_in_parts(setup, ids, [0, len(ids)], tables, **place)
    trained = (alone[0] != tables[0]).any(axis=1)
    assert trained.mean() > 0.9
    alike = []
    for _ in range(5):
        many = train_in_parts(with_options(setup, threads=threads), ids, [0, len(ids)], tables, **place)
        assert many[2:] == alone[2:]
        assert ((many[0] != tables[0]).any(axis=1) == trained).all()
        for one in many[:2]:
            assert np.isfinite(one).all()
            assert not one[:, 20:].any()
        pairs = zip(many[:2], alone[:2], tables, strict=True)
        alike.append(min(np.corrcoef((a - start).ravel(), (b - start).ravel())[0, 1] for a, b, start in pairs))
        if alike[-1] > 0.9:
            return
    pytest.fail(f"correlations with one thread's steps: {alike}")


@pytest.mark.parametrize("level", simd_levels())
@pytest.mark.parametrize("dot", [-1000.0, -100.0, -88.0, -87.0, -30.0, 30.0, 87.0, 88.0, 100.0, 1000.0])
def test_extreme_dot_products_give_finite_rows_and_the_right_loss(level, dot):
    """Sigmoid and softplus by way of one pair: -log sigmoid(x) - log sigmoid(-x) = |x|, but for rounding."""
    setup = Setup(
        keep_thresholds(np.ones(2)), window=1, cells=alias_cells(np.array([0.0, 1.0])), negatives=1, pool=0, simd=level
    )
    inputs, outputs = table(2, 1), table(2, 1)
    inputs[:, 0], outputs[:, 0] = 1.0, dot
    ids = np.array([1, 0], np.int32)
    reckoned = next(
        p for p in range(10**4) if plan(ids, setup, begin=1, end=2, position=p, seed=1, rate=(1, 0, 0))[0].reckoned
    )
    losses = train(inputs, outputs, ids, setup, begin=1, end=2, position=reckoned, seed=1, rate=(1.0, 0, 0))
    assert losses.loss_pairs == 1
    np.testing.assert_allclose(losses.loss_sum, np.logaddexp(0, -dot) + np.logaddexp(0, dot), rtol=1e-6)
    near = float(np.exp(-np.logaddexp(0, -dot)))
    np.testing.assert_allclose(outputs[:, 0], [dot + (1 - near), dot - near], rtol=1e-6)
    np.testing.assert_allclose(inputs[:, 0], [1, 1 + dot * (1 - 2 * near)], rtol=1e-6)


@pytest.mark.parametrize("level", simd_levels())
def test_the_loss_is_right_over_the_whole_range(level):
    rng = np.random.default_rng(4)
    setup = make_setup(200, rng=rng, window=3, pool=0, simd=level)
    ids = make_text(200, 4000, rng)
    tables = make_tables(setup, 16, rng)
    tables[0][:] *= np.geomspace(0.01, 30, 200)[rng.permutation(200), None]
    student = Student(tables[0], tables[1], setup)
    place = {"begin": 0, "end": 4000, "position": 0, "seed": 6, "rate": (0.0, 0, 0)}
    student.train([block for block in plan(ids, setup, **place) if block.reckoned])
    losses = train(*tables, ids, setup, **place)
    assert losses.loss_pairs == student.loss_pairs > 100
    np.testing.assert_allclose(losses.loss_sum, student.loss, rtol=1e-6)


def test_a_vocabulary_of_one_word_and_texts_without_words():
    one = np.ones(1)
    for options in ({"cells": alias_cells(one)}, {"tree": HuffmanTree.from_counts(one)}):
        for more in ({}, {"shared": False}, {"skip_gram": False}):
            setup = Setup(keep_thresholds(one), window=2, **options, **more)
            inputs, outputs = table(1, 5), table(1 if setup.tree is None else 0, 5)
            inputs[:, :5] = 0.5
            for ids in ([], [-1, -1], [0], [0, 0, 0, -1, 0]):
                given = np.array(ids, np.int32)
                train(inputs, outputs, given, setup, begin=0, end=len(ids), position=0, seed=0, rate=(0.1, 0, 0))
                assert np.isfinite(inputs).all()
                assert np.isfinite(outputs).all()
