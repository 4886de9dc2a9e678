"""word2vec on a GPU, in Triton's interpreter: a program in sequence is a student's loop, with the same draws."""

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("triton", reason="Triton is there for Linux alone")

from logq.text import Vocabulary
from logq.word2vec import Word2Vec
from logq.word2vec.engines import Position, Span, first_vectors
from logq.word2vec.kernel import Setup, alias_cells, keep_thresholds, table, train
from logq.word2vec.triton_engine import TritonEngine, most_programs, precision_of_products, thinned
from logq.word2vec.word2vec_config import Word2VecConfig
from word2vec_loop import Block, centers, outputs_of, plan, sigmoid

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="kernels are compiled for the GPU that is here")

WORDS = 9
VOCABULARY = Vocabulary([f"w{word}" for word in range(WORDS)], np.array([90, 70, 40, 40, 20, 9, 5, 3, 1]))
POSITION, SEED = 2**40 + 17, 2**63 + 5
KINDS = {"skip-gram": {}, "CBOW": {"sg": False}, "sum": {"sg": False, "cbow_mean": False}}


def config(**options: Any) -> Word2VecConfig:
    chosen: dict[str, Any] = {"dim": 20, "window": 3, "num_sampled": 4, "sample": 0.05, **options}
    return Word2VecConfig(**chosen)


def place_of(settings: Word2VecConfig) -> dict[str, Any]:
    """Where ids[0] is: the rate falls to its floor within the text."""
    rate = min(0.2, 1 / (settings.window * settings.num_sampled))
    return {"position": POSITION, "seed": SEED, "rate": (rate + 0.02 * rate * POSITION, 0.02 * rate, 0.4 * rate)}


def setup_of(settings: Word2VecConfig) -> Setup:
    """What the compiled engine has, without a pool: a list of negatives for each center."""
    return Setup(
        keep_thresholds(VOCABULARY.keep_probability(settings.sample)),
        window=settings.window,
        skip_gram=settings.sg,
        mean=settings.cbow_mean,
        cells=alias_cells(VOCABULARY.counts.astype(np.float64) ** settings.unigram_power),
        negatives=settings.num_sampled,
        pool=0,
        loss_every=1,
    )


def make_text(size: int, rng: np.random.Generator) -> Any:
    ids = np.minimum(rng.geometric(0.25, size) - 1, WORDS - 1).astype(np.int32)
    ids[rng.random(size) < 0.08] = -1
    return ids


def make_engine(settings: Word2VecConfig, rng: np.random.Generator) -> tuple[TritonEngine, list[Any]]:
    """An engine with rows so long that dot products are about 1, and both tables as they are."""
    tables = [(rng.normal(size=(WORDS, settings.dim)) * settings.dim**-0.25).astype(np.float32) for _ in range(2)]
    engine = TritonEngine(settings, VOCABULARY, first_vectors(WORDS, settings.dim, 1), 0)
    engine.load_state(tables[0], {"outputs": tables[1]})
    return engine, tables


def trained(engine: TritonEngine, ids: Any, begin: int, end: int, settings: Word2VecConfig) -> Any:
    """Train, and return the losses."""
    place = place_of(settings)
    at = Position(place["position"] + begin, place["rate"], place["seed"])
    assert engine.train(Span(ids, begin, end), at).pairs == 0, "the losses of the call before"
    return engine.finish()


class Student:
    """The loop: all centers of a tile see both tables as they were before it."""

    def __init__(self, tables: list[Any], setup: Setup, tile: int) -> None:
        self.inputs, self.outputs = (made.astype(np.float64) for made in tables)
        self.setup, self.tile = setup, tile
        self.pairs, self.loss = 0, 0.0

    def train(self, blocks: list[Block]) -> None:
        for start in range(0, len(blocks), self.tile):
            self.train_tile(blocks[start : start + self.tile])

    def train_tile(self, blocks: list[Block]) -> None:
        changes = np.zeros_like(self.inputs), np.zeros_like(self.outputs)
        for block in blocks:
            (center,) = block.centers
            if self.setup.skip_gram:
                queries = [[word] for word in center.context]
            else:
                queries = [center.context] if center.context else []
            for words in queries:
                query = self.inputs[words].sum(axis=0) / (len(words) if self.setup.mean else 1)
                for row, label in outputs_of(self.setup, center.word, block.negatives[0]):
                    dot = query @ self.outputs[row]
                    error = blocks[0].rate * (label - sigmoid(dot))
                    for word in words:
                        changes[0][word] += error * self.outputs[row]
                    changes[1][row] += error * query
                    self.loss += np.logaddexp(0, -dot if label else dot)
            self.pairs += len(queries)
        self.inputs += changes[0]
        self.outputs += changes[1]


def check_is_the_loop(options: dict[str, Any], seed: int, size: int = 40) -> tuple[TritonEngine, list[Block]]:
    rng = np.random.default_rng(seed)
    settings, ids = config(**options), make_text(size, rng)
    engine, tables = make_engine(settings, rng)
    setup = setup_of(settings)
    blocks = plan(ids, setup, begin=3, end=size - 4, **place_of(settings))
    student = Student(tables, setup, engine.tile.centers)
    student.train(blocks)
    losses = trained(engine, ids, 3, size - 4, settings)
    np.testing.assert_allclose(engine.vectors, student.inputs, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(engine.state()["outputs"], student.outputs, rtol=1e-5, atol=1e-5)
    assert (losses.pairs, losses.loss_pairs) == (student.pairs, student.pairs)
    np.testing.assert_allclose(losses.loss_sum, student.loss, rtol=1e-5)
    for made in (engine.inputs, engine.outputs):
        assert not made[:, settings.dim :].any(), "padding stays 0"
    assert np.abs(engine.vectors - tables[0]).max() > 0.05
    return engine, blocks


@pytest.mark.parametrize("dim", [1, 3, 64, 100])
@pytest.mark.parametrize("kind", KINDS)
def test_a_program_is_the_loop(kind: str, dim: int) -> None:
    engine, blocks = check_is_the_loop({**KINDS[kind], "dim": dim}, seed=dim)
    found = [center for block in blocks for center in block.centers]
    assert len(found) > 2 * engine.tile.centers
    assert len({block.rate for block in blocks}) > 3, "the rate falls"
    assert any(len(set(center.context)) < len(center.context) for center in found), "a word twice in a window"
    assert any(center.word in block.negatives[0] for block in blocks for center in block.centers), "a hit"


@pytest.mark.parametrize(
    "options",
    [
        {"window": 1, "num_sampled": 1},
        {"window": 5, "num_sampled": 5, "sample": 1e-2},
        {"window": 5, "num_sampled": 20},
        {"window": 12, "num_sampled": 2, "unigram_power": -1.0},
        {"dim": 200, "num_sampled": 40},
        {"dim": 150, "sg": False, "num_sampled": 40},
    ],
    ids=str,
)
def test_other_tiles_are_the_loop_too(options: dict[str, Any]) -> None:
    engine, _ = check_is_the_loop(options, seed=5)
    tile, settings = engine.tile, config(**options)
    assert tile.centers + 2 * settings.window <= tile.rows
    assert tile.centers * (1 + settings.num_sampled) <= tile.columns
    if settings.dim > 100:
        assert tile.width < settings.dim, "vectors are taken in parts"


@pytest.mark.parametrize("kind", KINDS)
def test_one_center_at_a_time_is_the_compiled_engine(kind: str) -> None:
    settings = config(**KINDS[kind], num_sampled=2)
    place, setup = place_of(settings), setup_of(settings)
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        ids = make_text(25, rng)
        met = [block.negatives[0] for block in plan(ids, setup, begin=2, end=20, **place) if block.centers[0].context]
        if all(one != other for one, other in met):  # CBOW takes one that comes again as it is by then
            break
    engine, tables = make_engine(settings, rng)
    engine.tile = engine.tile._replace(centers=1)
    inputs, outputs = (table(WORDS, settings.dim) for _ in range(2))
    inputs[:, : settings.dim], outputs[:, : settings.dim] = tables
    expected = train(inputs, outputs, ids, setup, begin=2, end=20, **place)
    losses = trained(engine, ids, 2, 20, settings)
    np.testing.assert_allclose(engine.vectors, inputs[:, : settings.dim], rtol=0, atol=1e-5)
    np.testing.assert_allclose(engine.state()["outputs"], outputs[:, : settings.dim], rtol=0, atol=1e-5)
    assert losses.pairs == expected.pairs > 10


@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
@pytest.mark.parametrize("position", [0, 2**40])
def test_words_stay_and_windows_reach_as_in_the_compiled_engine(seed: int, position: int) -> None:
    ids = make_text(200, np.random.default_rng(3))
    setup = setup_of(config(window=5))
    kept = thinned(
        torch.from_numpy(ids), torch.from_numpy(setup.keep.astype(np.int64)),
        begin=20, end=170, position=position, seed=seed, window=5,
    )  # fmt: skip
    first, behind = kept.bounds.tolist()
    found = [center for sentence in centers(ids, setup, 20, 170, position, seed) for center in sentence]
    assert 50 < len(found) < 140
    assert kept.words[first:behind].tolist() == [center.word for center in found]
    assert kept.places[first:behind].tolist() == [center.place for center in found]
    for number, center in enumerate(found, first):
        reach = int(kept.reaches[number])
        around = [*range(max(number - reach, 0), number), *range(number + 1, min(number + reach + 1, len(ids)))]
        same = [other for other in around if kept.sentences[other] == kept.sentences[number]]
        assert kept.words[same].tolist() == center.context


@pytest.mark.parametrize("size", range(5))
def test_arrays_of_any_text_begin_where_kernels_read_16_bytes(size: int) -> None:
    """Kernels are compiled anew for arrays that do not."""
    ids, keep = torch.zeros(size, dtype=torch.int32), torch.tensor([2**32 - 1])
    kept = thinned(ids, keep, begin=0, end=size, position=0, seed=1, window=1)
    assert all(len(made) == size and made.storage_offset() % 4 == 0 for made in kept[:4])


def test_however_a_text_is_cut_the_draws_are_the_same() -> None:
    rng = np.random.default_rng(9)
    settings, ids = config(), make_text(34, rng)
    whole, tables = make_engine(settings, rng)
    parts = TritonEngine(settings, VOCABULARY, tables[0], 0)
    parts.load_state(tables[0], {"outputs": tables[1]})
    for engine in (whole, parts):
        engine.tile = engine.tile._replace(centers=1)
    expected = trained(whole, ids, 3, 31, settings)
    pairs = sum(trained(parts, ids, begin, end, settings).pairs for begin, end in ((3, 4), (4, 4), (4, 17), (17, 31)))
    assert pairs == expected.pairs
    assert np.array_equal(parts.vectors, whole.vectors)
    assert np.array_equal(parts.outputs.numpy(), whole.outputs.numpy())


@pytest.mark.parametrize("programs", [2, 3, 50])
def test_programs_share_the_text(programs: int) -> None:
    """In the interpreter one runs after the other, in the order of the text."""
    alone, many = (make_engine(config(), np.random.default_rng(2))[0] for _ in range(2))
    many.programs = programs
    ids = make_text(40, np.random.default_rng(11))
    expected, losses = (trained(engine, ids, 0, 40, config()) for engine in (alone, many))
    assert losses.pairs == expected.pairs > 0
    np.testing.assert_allclose(losses.loss_sum, expected.loss_sum, rtol=1e-12)
    assert np.array_equal(many.vectors, alone.vectors)


@pytest.mark.parametrize("ids", [[], [-1, -1], [0], [0, -1, 1, -1, -1]])
def test_texts_without_neighbors_change_nothing(ids: list[int]) -> None:
    engine, tables = make_engine(config(sample=0), np.random.default_rng(1))
    assert trained(engine, np.array(ids, np.int32), 0, len(ids), config()).pairs == 0
    assert np.array_equal(engine.vectors, tables[0])
    assert np.array_equal(engine.state()["outputs"], tables[1])


def test_a_word_that_is_none_is_refused() -> None:
    engine, _ = make_engine(config(), np.random.default_rng(1))
    with pytest.raises(ValueError, match=r"^ids: expected words below 9, got 9"):
        trained(engine, np.array([0, 9], np.int32), 0, 2, config())


def test_fewer_programs_train_at_once_where_words_are_few() -> None:
    def programs(words: int, **options: Any) -> int:
        vocabulary = Vocabulary([str(word) for word in range(words)], np.ones(words, np.int64))
        return most_programs(config(**options), vocabulary, centers=5)

    assert 1 <= programs(10) < programs(1000) < programs(100_000)
    assert programs(1000, lr=0.05) * 2 == pytest.approx(programs(1000), abs=2)
    assert programs(1000, lr=0.1) * 8 == pytest.approx(programs(1000), abs=8), "at high rates even fewer"
    assert programs(1, lr=100) == 1
    assert programs(1000, sg=False, lr=0.025) == pytest.approx(4 * programs(1000), abs=4), "window + 1 times as many"
    assert programs(1000, sg=False, cbow_mean=False, lr=0.025) == programs(1000)


def test_products_are_as_exact_as_torch_is_asked_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[str] = []
    for precision in ("highest", "high", "medium"):
        monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda precision=precision: precision)
        found.append(precision_of_products())
    assert found == ["tf32x3", "tf32", "tf32"]

    def refused() -> str:
        raise RuntimeError("a mix of the older and the newer setting")

    monkeypatch.setattr(torch, "get_float32_matmul_precision", refused)
    monkeypatch.setattr(torch.backends.cuda, "matmul", SimpleNamespace())
    for set_to, expected in (("none", "tf32x3"), ("ieee", "tf32x3"), ("tf32", "tf32")):
        torch.backends.cuda.matmul.fp32_precision = set_to
        assert precision_of_products() == expected, set_to


# ------------------------------------------------------------------------------------------------------ the estimator

TEXT = [[f"{group}{word}" for word in words] for group in "ab" for words in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] * 4]


def model(**options: Any) -> Word2Vec:
    chosen: dict[str, Any] = {"dim": 8, "min_count": 1, "sample": 0, "window": 2, "num_sampled": 2, "epochs": 2}
    chosen |= {"seed": 1, "lr": 0.3, "engine": "triton", **options}
    return Word2Vec(**chosen)


@pytest.mark.parametrize("kind", ["skip-gram", "CBOW"])
def test_neighbors_are_learned(kind: str) -> None:
    made = model(**KINDS[kind], epochs=4, lr=0.2).fit(TEXT, progress=False)
    assert made.engine_name == "triton"
    assert made.mean_loss < 0.9 * np.log(2) * 3
    for group in "ab":
        nearest = made.vectors.most_similar(f"{group}0", topn=2)
        assert {word for word, _ in nearest} == {f"{group}1", f"{group}2"}


@pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:invalid value encountered")
def test_the_loss_of_the_last_span_can_diverge_too() -> None:
    with pytest.raises(FloatingPointError, match=r"^lr: training diverged in epoch 1, the mean loss is"):
        model(lr=100.0, epochs=1).fit(TEXT, progress=False)


def test_every_loss_of_an_epoch_is_counted() -> None:
    seen: list[float] = []
    model().fit(TEXT, progress=False, on_epoch_end=lambda one, _: seen.append(one.mean_loss))
    compiled = model(engine="fused", epochs=1, lr=1e-9).fit(TEXT, progress=False)
    assert seen[1] < seen[0] < compiled.mean_loss * 1.01
    untrained = model(epochs=1, lr=1e-9).fit(TEXT, progress=False)
    np.testing.assert_allclose(untrained.mean_loss, compiled.mean_loss, rtol=0.02)  # other negatives hit


def test_what_was_interrupted_goes_on_to_the_same_vectors(tmp_path: Any) -> None:
    whole = model().fit(TEXT, progress=False)

    def stop(_: Word2Vec, epoch: int) -> None:
        if epoch == 1:
            raise KeyboardInterrupt

    options: dict[str, Any] = {"checkpoint": tmp_path / "checkpoint", "progress": False}
    with pytest.raises(KeyboardInterrupt):
        model().fit(TEXT, on_epoch_end=stop, **options)
    resumed = model().fit(TEXT, resume=True, **options)
    assert np.array_equal(resumed.vectors.vectors, whole.vectors.vectors)
    assert np.array_equal(resumed.output_vectors, whole.output_vectors)


def test_it_continues_with_new_words() -> None:
    made = model(epochs=1).fit(TEXT, progress=False)
    before = made.vectors
    made.lr = 1e-9
    made.fit([["a0", "c", "a1"]], progress=False)
    np.testing.assert_allclose(made.vectors["a2"], before["a2"], atol=1e-6)
    assert "c" in made.vectors


def test_the_same_files_are_saved(tmp_path: Any) -> None:
    from logq.vectors import KeyedVectors

    made = model(epochs=1).fit(TEXT, progress=False)
    made.save_vectors(tmp_path)
    assert np.array_equal(KeyedVectors.load(tmp_path).vectors, made.vectors.vectors)
    assert json.loads((tmp_path / "vectors.json").read_text())["info"]["engine"] == "triton"


def test_memory_that_a_device_has_not_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("logq.word2vec.triton_engine.torch.zeros", none_left)
    with pytest.raises(ValueError, match=r"^dim: expected two tables that fit in memory, got 0.0 GiB for 6 words"):
        model().fit(TEXT, progress=False)


def test_a_run_that_must_be_the_same_each_time_is_refused() -> None:
    made = model()
    torch.use_deterministic_algorithms(True)
    try:
        with pytest.raises(ValueError, match=r"^engine: expected 'plain', got 'triton' under torch\.use_deterministic"):
            made.fit(TEXT, progress=False)
        with pytest.raises(
            ValueError, match=r"^engine: .*the order of its updates varies, which torch\.use_deterministic"
        ):
            model()
        chosen = Word2VecConfig(device="cuda")
        assert (chosen.engine_name, chosen.why_plain) == ("plain", chosen.why_not_triton)
    finally:
        torch.use_deterministic_algorithms(False)
    assert Word2VecConfig(device="cuda").engine_name == "triton"
