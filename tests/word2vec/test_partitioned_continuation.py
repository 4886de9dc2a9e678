"""Models in partitions go on: with more text, new words and given vectors, in one process and in two."""

import mmap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import logq
from logq import KeyedVectors, Word2Vec
from logq.processes import world
from logq.text import Vocabulary
from logq.word2vec import engines, partitioned_engine, partitioned_table
from logq.word2vec.engines import Position, Span, first_vectors
from logq.word2vec.kernel import table, train
from logq.word2vec.partitioned_engine import PartitionedEngine
from logq.word2vec.word2vec_config import Word2VecConfig
from processes import together

SETTINGS: dict[str, Any] = {"dim": 10, "min_count": 2, "sample": 0, "epochs": 2, "seed": 5, "window": 3}
SPAN = 1500
ORDER = [(0, 0), (0, 2), (2, 2), (2, 0), (1, 1), (1, 3), (3, 3), (3, 1)]
ORDER += [(0, 1), (0, 3), (2, 3), (2, 1), (1, 0), (1, 2), (3, 2), (3, 0)]
"""Of 4 x 4 buckets, as two processes train them."""


def sentences(topics: range, number: int = 250) -> list[list[str]]:
    """Sentences of words of one topic each."""
    rng = np.random.default_rng(topics.start)
    return [[f"t{rng.choice(topics)}w{word}" for word in rng.integers(0, 10, 7)] for _ in range(number)]


OLD, NEW = sentences(range(2)), sentences(range(1, 4))
GIVEN = KeyedVectors([*(f"t3w{word}" for word in range(10)), "t0w3", "elsewhere"], np.arange(120).reshape(12, 10) / 99)


def model(partitions: int, **options: Any) -> Word2Vec:
    return Word2Vec(**{**SETTINGS, "partitions": partitions, **options})


def learned(fitted: Word2Vec) -> dict[str, np.ndarray]:
    return {name: np.array(array) for name, array in fitted.state().items()}


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)


# -------------------------------------------------------------------------------------------------------- one process


def test_a_saved_model_goes_on_to_the_bits_of_one_that_stayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitioned_table, "PIECE_BYTES", 300)
    fitted = model(3).fit(OLD, progress=False)
    fitted.save(tmp_path)
    kept = logq.load(tmp_path)
    assert_same(learned(kept), learned(fitted))
    for one in (fitted, kept):
        one.fit(NEW, progress=False)
    assert_same(learned(kept), learned(fitted))
    assert len(fitted.vocabulary) == 40
    for one in (fitted, kept):
        one.fit(OLD, new_words=False, progress=False)
    assert_same(learned(kept), learned(fitted))


def test_a_saved_model_is_copied_from_its_file_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both tables come as maps of the file: neither is whole in memory, however large it is."""
    model(3).fit(OLD, progress=False).save(tmp_path)
    filled, fill = [], partitioned_table.PartitionedTable.fill

    def noted(self: Any, rows: Any) -> None:
        filled.append(isinstance(rows, np.memmap) and isinstance(rows.base, mmap.mmap))
        fill(self, rows)

    monkeypatch.setattr(partitioned_table.PartitionedTable, "fill", noted)
    logq.load(tmp_path)
    assert filled
    assert all(filled)


def test_a_damaged_table_is_seen_where_it_stays_in_its_file(tmp_path: Path) -> None:
    fitted = model(3).fit(OLD, progress=False)
    fitted.save(tmp_path)
    path, row = tmp_path / "model.safetensors", fitted.vectors.vectors[7].tobytes()
    path.write_bytes(path.read_bytes().replace(row, row[:-1] + bytes([row[-1] ^ 1])))
    with pytest.raises(ValueError, match=r"the file was changed or is damaged, the digest of 'learned/vectors'"):
        logq.load(tmp_path)


@pytest.mark.parametrize(("before", "now"), [(1, 3), (3, 1), (3, 2)])
@pytest.mark.parametrize("text", [OLD, NEW], ids=["the same words", "new words"])
def test_the_number_of_partitions_may_change(
    before: int, now: int, text: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was learned goes on in tables that are cut otherwise."""
    monkeypatch.setattr(partitioned_table, "PIECE_BYTES", 300)
    fitted = model(before).fit(OLD, progress=False)
    known = fitted.vocabulary.index_to_key
    vectors, outputs = fitted.vectors.vectors, fitted.output_vectors
    fitted.partitions, fitted.lr = now, 1e-12  # so that nothing moves
    fitted.fit(text, progress=False)
    assert fitted.vocabulary.index_to_key[: len(known)] == known
    np.testing.assert_allclose(fitted.vectors.vectors[: len(known)], vectors, atol=1e-7)
    np.testing.assert_allclose(fitted.output_vectors[: len(known)], outputs, atol=1e-7)
    assert isinstance(fitted._engine, PartitionedEngine) == (now > 1)


@pytest.mark.parametrize("kind", ["vectors", "a file", "a file of word2vec"])
def test_words_start_from_given_vectors(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitioned_table, "PIECE_BYTES", 300)
    given: Any = GIVEN
    if kind == "a file":
        GIVEN.save(tmp_path)
        given = tmp_path
    elif kind == "a file of word2vec":
        given = tmp_path / "given.txt"
        GIVEN.save_word2vec_format(given)
    still = model(3, lr=1e-12).fit(OLD, initial=given, progress=False)
    np.testing.assert_allclose(still.vectors["t0w3"], GIVEN["t0w3"], atol=1e-6)
    random = model(1, lr=1e-12).fit(OLD, progress=False)
    words = [word for word in random.vocabulary.index_to_key if word != "t0w3"]
    np.testing.assert_allclose(still.vectors[words], random.vectors[words], atol=1e-7)
    still.fit(NEW, initial=given, progress=False)
    words = [f"t3w{word}" for word in range(10)]
    np.testing.assert_allclose(still.vectors[words], GIVEN[words], atol=1e-6)
    whole = model(1).fit(OLD, initial=given, progress=False)
    assert model(3).fit(OLD, initial=given, progress=False).mean_loss == pytest.approx(whole.mean_loss, rel=0.1)


def test_given_vectors_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    table = np.ones((2, 10), np.float32)
    table[1, 4] = np.nan
    KeyedVectors(["t0w1", "t0w2"], np.ones((2, 10))).save(tmp_path)
    path = tmp_path / "vectors.safetensors"
    written = path.read_bytes()
    path.write_bytes(written.replace(np.ones((2, 10), np.float32).tobytes(), table.tobytes()))
    with pytest.raises(ValueError, match="initial: expected vectors of finite numbers, got others for 't0w2'"):
        model(3).fit(OLD, initial=tmp_path, progress=False)


@pytest.mark.parametrize("span", [1 << 14, 100])
def test_held_words_stay_and_others_learn_from_them(span: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "HELD_SPAN", span)
    held = model(3).fit(OLD, initial=GIVEN, frozen=["t0w3", "t1w1"], progress=False)
    free = model(3).fit(OLD, initial=GIVEN, progress=False)
    random = model(3, lr=1e-12).fit(OLD, progress=False).vectors["t1w1"]
    np.testing.assert_array_equal(held.vectors["t0w3"], GIVEN["t0w3"])
    np.testing.assert_allclose(held.vectors["t1w1"], random, atol=1e-7)
    for word in held.vocabulary.index_to_key:
        moved = np.abs(held.vectors[word] - free.vectors[word]).max()
        assert moved > 1e-4
    assert np.abs(held.output_vectors[held.vocabulary.key_to_index["t0w3"]]).max() > 1e-2
    held.fit(NEW, progress=False)  # held for that fit alone
    assert np.abs(held.vectors["t1w1"] - random).max() > 1e-3


def test_buckets_with_held_words_are_the_kernel_with_its_rows_put_back() -> None:
    """One bucket at a time on whole tables in memory, of which the held rows are overwritten after each piece."""
    config = Word2VecConfig(dim=10, min_count=1, sample=0, num_sampled=5, seed=1, threads=1, partitions=2)
    words = Vocabulary.build(OLD, min_count=1)
    start = first_vectors(len(words), 10, 3)
    engine = PartitionedEngine(config, words, start, 1)
    engine.hold(np.array([0, 3, 6]))
    ids = np.concatenate([[*words.encode(sentence), -1] for sentence in OLD]).astype(np.int32)
    span, place = Span(ids, 0, len(ids)), Position(0, (0.05, 0.0, 0.0), 9)
    engine.train(span, place)
    parts = [[table(len(words) // 2, 10) for _ in range(2)] for _ in range(2)]
    for part in range(2):
        parts[0][part][:, :10] = start[part::2]
    setup = replace(engine.setup, loss_every=engine.loss_every)
    for first, second in partitioned_engine.buckets(2):
        options: dict[str, Any] = {"seed": 9, "rate": place.rate, "bucket": (first, second), "position": 0}
        train(parts[0][first], parts[1][second], ids, setup, begin=0, end=len(ids), **options)
        for row in (0, 3, 6):
            if row % 2 == first:
                parts[0][first][row // 2, :10] = start[row]
    for part in range(2):
        np.testing.assert_array_equal(engine.vectors[:][part::2], parts[0][part][:, :10])
        np.testing.assert_array_equal(np.array(engine.state()["outputs"])[part::2], parts[1][part][:, :10])


def test_what_cannot_be_cut_in_partitions_is_refused_when_it_goes_on() -> None:
    grown = model(1, sg=False).fit(OLD, progress=False)
    grown.partitions = 3
    with pytest.raises(ValueError, match="partitions: expected 1 for CBOW, got 3"):
        grown.fit(NEW, progress=False)


# ------------------------------------------------------------------------------------------------------ two processes


def went_on(folder: str) -> dict[str, Any]:
    """What a process finds, by name."""
    PartitionedEngine.min_span = SPAN
    home = Path(folder)
    old, new = str(home / "old.txt"), str(home / "new.txt")
    fitted = model(4).fit(old, progress=False)
    if world().is_first:
        fitted.save(home / "model")
    found: dict[str, Any] = {"start": learned(fitted), "went on": learned(fitted.fit(new, progress=False))}
    found["loaded"] = learned(logq.load(home / "model").fit(new, progress=False))
    found["same words"] = learned(logq.load(home / "model").fit(new, new_words=False, progress=False))
    found["given"] = learned(model(4).fit(old, initial=GIVEN, progress=False))
    found["held"] = learned(model(4).fit(old, initial=GIVEN, frozen=True, progress=False))
    whole = logq.load(home / "whole")
    whole.partitions = 4
    found["of whole tables"] = learned(whole.fit(new, progress=False))
    rank = world().rank
    try:
        model(4, epochs=1).fit(old, initial=GIVEN if rank else None, progress=False)
    except ValueError as error:
        found["other vectors"] = str(error)
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("partitions")
    for name, some in {"old": OLD, "new": NEW}.items():
        (folder / f"{name}.txt").write_text("\n".join(map(" ".join, some)))
    model(1).fit(folder / "old.txt", progress=False).save(folder / "whole")
    return folder


@pytest.fixture(scope="module")
def two(home: Path) -> list[dict[str, Any]]:
    return together(went_on, str(home), size=2, seconds=600)


def test_two_processes_go_on_to_what_one_learns_in_this_order(
    two: list[dict[str, Any]], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit: with new words and without, from memory and from a file, from given vectors and from whole tables."""
    monkeypatch.setattr(partitioned_engine, "buckets", lambda _: ORDER)
    monkeypatch.setattr(PartitionedEngine, "min_span", SPAN)
    fitted = model(4).fit(home / "old.txt", progress=False)
    fitted.save(home / "alone")
    expected = {"start": learned(fitted), "went on": learned(fitted.fit(home / "new.txt", progress=False))}
    expected["loaded"] = expected["went on"]
    again = logq.load(home / "alone").fit(home / "new.txt", new_words=False, progress=False)
    expected["same words"] = learned(again)
    expected["given"] = learned(model(4).fit(home / "old.txt", initial=GIVEN, progress=False))
    expected["held"] = learned(model(4).fit(home / "old.txt", initial=GIVEN, frozen=True, progress=False))
    whole = logq.load(home / "whole")
    whole.partitions = 4
    expected["of whole tables"] = learned(whole.fit(home / "new.txt", progress=False))
    for one in two:
        for name, tables in expected.items():
            assert_same(one[name], tables)
        assert "initial: expected the same in all processes" in one["other vectors"]
    assert len(two[0]["went on"]["vectors"]) > len(two[0]["same words"]["vectors"])
