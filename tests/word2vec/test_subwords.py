"""Word2Vec with subwords: the plain path means what the kernel does; fitted, saved and asked for unknown words."""

import json

import numpy as np
import pytest
import torch

import logq
from logq import KeyedVectors, Word2Vec
from logq.huffman import HuffmanTree
from logq.nn import CandidateLoss
from logq.samplers import Uniform
from logq.vectors.word_parts import WordParts
from logq.word2vec.kernel import Setup, alias_cells, keep_thresholds, table, train
from logq.word2vec.modules import CBOW, SkipGram
from word2vec_cases import with_options
from word2vec_loop import plan

WORDS, DIM, RATE = 12, 9, 0.1
SOURCE = [["tea", "teapot", "tearoom", "cup"], ["the", "teacup", "teapots", "cups"], ["the", "cup", "cups", "tea"]] * 40
SETTINGS = {"dim": 12, "min_count": 1, "sample": 0, "epochs": 2, "seed": 1, "subwords": True, "buckets": 500}
ENGINES = {"fused": {}, "plain": {"batch_size": 16}}


# ---------------------------------------------------------------------------------------------- the kernel's plain twin


def parts_of(counts, shared):
    """A row of each word, and some more: of its own, or some of a few, which may come twice."""
    rng = np.random.default_rng(4)
    more = sum(counts)
    others = rng.integers(0, 5, more) if shared else np.arange(more)
    cuts = np.split(others + WORDS, np.cumsum(counts)[:-1])
    joined = np.concatenate([np.concatenate([[word], cut]) for word, cut in enumerate(cuts)]).astype(np.int32)
    offsets = np.concatenate([[0], (np.array(counts) + 1).cumsum()])
    return WordParts(offsets, joined, np.arange(5 if shared else more, dtype=np.int32))


KINDS = {
    "skip-gram": {},
    "skip-gram, no pool": {"pool": 0},
    "skip-gram, blocks of 3": {"block": 3},
    "skip-gram, a tree": {"tree": True},
    "CBOW": {"skip_gram": False},
    "sum": {"skip_gram": False, "mean": False},
    "CBOW, a tree": {"skip_gram": False, "tree": True},
}


def plain_steps(setup, tables, blocks):
    """Steps of the plain engine on given draws: a negative that is the target is dropped, a repeated one counts."""
    model = SkipGram(WORDS, DIM, parts=setup.parts) if setup.skip_gram else None
    model = model or CBOW(WORDS, DIM, mean=setup.mean, parts=setup.parts)
    model.vectors.data = torch.tensor(tables[0])
    outputs = torch.tensor(tables[1], requires_grad=True)
    optimizer = torch.optim.SGD([model.vectors, outputs], lr=RATE)
    for block in blocks:
        pairs = [(center.context, center.word) for center in block.centers if center.context]
        if not pairs:
            continue
        if setup.skip_gram:
            pairs = [(word, target) for context, target in pairs for word in context]
            queries = model.query(torch.tensor([word for word, _ in pairs]))
        else:
            padded = [context + [-1] * (2 * setup.window - len(context)) for context, _ in pairs]
            queries = model.query(torch.tensor(padded))
        loss = torch.zeros(())
        for query, (_, target) in zip(queries, pairs, strict=True):
            if setup.tree is None:
                chosen = [(target, 1.0)] + [(word, -1.0) for word in block.negatives[0] if word != target]
            else:
                points, codes = setup.tree.path(target)
                chosen = [(int(point), 1.0 - 2.0 * int(code)) for point, code in zip(points, codes, strict=True)]
            rows, signs = (torch.tensor(column) for column in zip(*chosen, strict=True))
            loss = loss - torch.nn.functional.logsigmoid(signs * (outputs[rows] @ query)).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.vectors.detach().numpy(), outputs.detach().numpy()


@pytest.mark.parametrize("shared", [False, True], ids=["rows of their own", "shared rows, one window"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_kernel_is_the_plain_path(kind, shared):
    """Words in reach do not see one another's gains in shared rows, so there several windows are another matter."""
    rng = np.random.default_rng(6)
    options = dict(KINDS[kind])
    counts = np.arange(WORDS, 0, -1.0)
    options |= (
        {"tree": HuffmanTree.from_counts(counts)} if options.pop("tree", False) else {"cells": alias_cells(counts)}
    )
    parts = parts_of([2, 0, 1, 3, 4, 0, 2, 1, 1, 3, 2, 5], shared)
    setup = Setup(keep_thresholds(np.full(WORDS, 0.8)), window=3, negatives=3, parts=parts, **options)
    ids = rng.permutation(np.tile(np.arange(WORDS), 3)).astype(np.int32)
    place = {"begin": 5, "end": 6 if shared else 25, "position": 0, "rate": (RATE, 0, 0)}
    repeats = True
    for seed in range(1000):  # in CBOW a negative that is drawn again meets the row as it was left, see there
        blocks = plan(ids, setup, seed=seed, **place)
        drawn = [block.negatives[0] for block in blocks]
        repeats = not setup.skip_gram and any(len(set(negatives)) < len(negatives) for negatives in drawn)
        if blocks and len(blocks[0].centers[0].context) > 2 and not repeats:
            break
    assert not repeats
    shapes = (parts.num_rows, WORDS - (setup.tree is not None))
    tables = [(rng.normal(size=(rows, DIM)) * 0.3).astype(np.float32) for rows in shapes]
    trained = table(shapes[0], DIM), table(shapes[1], DIM)
    for made, start in zip(trained, tables, strict=True):
        made[:, :DIM] = start
    train(*trained, ids, with_options(setup, loss_every=64), seed=seed, **place)
    for made, expected, start in zip(trained, plain_steps(setup, tables, blocks), tables, strict=True):
        assert np.abs(expected - start).max() > 0.01
        np.testing.assert_allclose(made[:, :DIM], expected, rtol=0, atol=1e-5)


# -------------------------------------------------------------------------------------------------------- the estimator


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("options", [{}, {"sg": False}, {"hs": True}], ids=str)
def test_a_fit_gives_vectors_of_unknown_words(engine, options, tmp_path):
    model = Word2Vec(**ENGINES[engine], **SETTINGS, **options).fit(SOURCE, progress=False)
    vectors = model.vectors
    assert vectors.vectors.shape == (len(model.vocabulary), 12)
    assert "tearooms" in vectors
    assert vectors.most_similar("tearooms", topn=1)[0][0] in vectors.key_to_index
    known, rows = vectors["tea"], model._engine.parts
    whole = np.concatenate([model._engine.vectors, model._engine.state()["ngrams"]])
    word = vectors.key_to_index["tea"]
    expected = whole[rows.rows[rows.offsets[word] : rows.offsets[word + 1]]].mean(axis=0)
    np.testing.assert_allclose(known, expected, atol=1e-6)
    model.save_vectors(tmp_path / "vectors")
    again = logq.load(tmp_path / "vectors")
    assert again["tearooms"].tolist() == vectors["tearooms"].tolist()
    info = json.loads((tmp_path / "vectors" / "vectors.json").read_text())["info"]
    assert (info["subwords"], info["minn"], info["maxn"], info["buckets"]) == (True, 3, 6, 500)
    model.save_fasttext(tmp_path / "model.bin")
    there = KeyedVectors.load(tmp_path / "model.bin")
    assert "teas" in there
    for each in ("tea", "tearooms", "teas"):
        np.testing.assert_allclose(there[each], vectors[each], rtol=0, atol=1e-6)


def test_vectors_are_read_from_a_whole_model(tmp_path):
    model = Word2Vec(**SETTINGS).fit(SOURCE, progress=False)
    model.save(tmp_path / "model")
    expected = model.vectors
    for path, mmap in ((tmp_path / "model", True), (tmp_path / "model" / "model.safetensors", False)):
        vectors = KeyedVectors.load(path, mmap=mmap)
        assert vectors.index_to_key == expected.index_to_key
        for word in (*vectors.index_to_key, "tearooms"):
            np.testing.assert_array_equal(vectors[word], expected[word])


def test_n_grams_that_do_not_fit_the_words_of_a_model_are_damage(tmp_path):
    model = Word2Vec(**SETTINGS).fit(SOURCE, progress=False)
    model.save(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes().replace(rb"\"buckets\": 500", rb"\"buckets\": 400"))
    with pytest.raises(
        ValueError, match=r"model\.safetensors: the file is damaged: expected vectors of n-grams, float"
    ):
        KeyedVectors.load(path, check=False)


def test_plain_and_compiled_engine_learn_alike():
    """Other draws and batches, the same directions."""
    settings = {**SETTINGS, "epochs": 10}
    one, other = (Word2Vec(**engine, **settings).fit(SOURCE, progress=False) for engine in ENGINES.values())
    assert one.mean_loss == pytest.approx(other.mean_loss, rel=0.05)
    words = one.vocabulary.index_to_key
    cosines = [[model.vectors.similarity(a, b) for a in words for b in words] for model in (one, other)]
    assert np.corrcoef(*cosines)[0, 1] > 0.8


def test_one_thread_gives_the_same_bits_and_a_checkpoint_goes_on(tmp_path):
    def stop(model, epoch):
        if epoch == 1:
            raise InterruptedError

    whole = Word2Vec(**SETTINGS).fit(SOURCE, progress=False)
    again = Word2Vec(**SETTINGS).fit(SOURCE, progress=False)
    assert np.array_equal(whole.vectors["tearooms"], again.vectors["tearooms"])
    broken = Word2Vec(**SETTINGS)
    checkpoint = {"checkpoint": tmp_path / "run", "checkpoint_minutes": 0, "progress": False}
    with pytest.raises(InterruptedError):
        broken.fit(SOURCE, on_epoch_end=stop, **checkpoint)
    resumed = Word2Vec(**SETTINGS).fit(SOURCE, resume=True, **checkpoint)
    assert np.array_equal(whole.vectors.vectors, resumed.vectors.vectors)


@pytest.mark.parametrize("engine", ENGINES)
def test_more_text_adds_words_and_their_n_grams(engine):
    model = Word2Vec(**ENGINES[engine], **{**SETTINGS, "lr": 1e-9}).fit(SOURCE, progress=False)
    before = model.vectors
    model.fit([["teatime", "saucer", "tea"]] * 5, progress=False)
    after = model.vectors
    assert set(after.index_to_key) == {*before.index_to_key, "teatime", "saucer"}
    for word in before.index_to_key:
        np.testing.assert_allclose(after[word], before[word], atol=1e-6)
    kept = np.isin(after.subwords.buckets, before.subwords.buckets)
    np.testing.assert_allclose(after.subwords.vectors[kept], before.subwords.vectors, atol=1e-6)
    assert (~kept).any()


def test_what_has_no_kernel_trains_in_plain_pytorch():
    options = {"sampler": lambda counts: Uniform(len(counts), 3), "batch_size": 16}
    model = Word2Vec(**options, **SETTINGS).fit(SOURCE, progress=False)
    assert model.engine_name == "plain"
    assert isinstance(model._engine.loss, CandidateLoss)
    assert "tearooms" in model.vectors
    assert Word2Vec(subwords=True).why_not_triton == "there is no GPU kernel for subwords"


@pytest.mark.parametrize("options", [{"minn": 2}, {"maxn": 5}, {"buckets": 100_000}], ids=str)
def test_what_is_of_no_use_without_them_is_said(options):
    (name,) = options
    with pytest.warns(UserWarning, match=rf"^{name}: {options[name]:,} is not used without subwords$"):
        Word2Vec(**options)
    Word2Vec(subwords=True, **options)
    Word2Vec(minn=3, maxn=6, buckets=2_000_000)


@pytest.mark.parametrize(
    ("options", "name"), [({"minn": 7}, "minn"), ({"maxn": 101}, "maxn"), ({"buckets": 0}, "buckets")]
)
def test_bad_sizes_are_said_before_the_text_is_read(options, name):
    with pytest.raises(logq.ArgumentError, match=f"^{name}: "):
        Word2Vec(subwords=True, **options)
