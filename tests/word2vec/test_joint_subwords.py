"""Several processes train words with their n-grams: rows of both are exchanged, and all have the same afterwards."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import logq
from logq import KeyedVectors, Word2Vec
from logq.processes import world
from logq.text import CharacterNgrams, EncodedCorpus, encode
from logq.training.seeds import Seeds, fresh_seed
from logq.word2vec import joint_run
from logq.word2vec.corpus_run import CorpusRun
from logq.word2vec.engines import Position, Span, first_vectors
from logq.word2vec.fused_engine import FusedEngine
from logq.word2vec.kernel import Losses
from processes import together

SETTINGS: dict[str, Any] = {"dim": 12, "min_count": 2, "sample": 0, "epochs": 2, "seed": 3, "window": 3}
SETTINGS |= {"subwords": True, "minn": 3, "maxn": 4, "buckets": 300}
KINDS: dict[str, dict[str, Any]] = {"sg": {}, "cbow": {"sg": False}, "hs": {"hs": True}}
ALL_ROWS, FIRST_ROWS = 1500, 400
STEMS, ENDINGS = ("walk", "paint", "garden", "river"), ("", "s", "ed", "ing", "er", "ers")
HELD = ["walked", "rivers"]


def sentences(number: int = 500, stems: tuple[str, ...] = STEMS, seed: int = 1) -> list[list[str]]:
    """Sentences, each with forms of one stem, and words that stand with no other."""
    rng = np.random.default_rng(seed)
    return [[stem + ending for ending in rng.choice(ENDINGS, 7)] for stem in rng.choice(stems, number)]


def given() -> KeyedVectors:
    return KeyedVectors([*HELD, "elsewhere"], np.arange(36).reshape(3, 12) / 99)


# ------------------------------------------------------------------------------------------ what each process looks at


def learned(model: Word2Vec) -> dict[str, np.ndarray]:
    return {name: np.array(table) for name, table in model.state().items()}


def everything(folder: str) -> dict[str, Any]:
    """What a process finds, by name."""
    joint_run.ALL_ROWS, joint_run.FIRST_ROWS = ALL_ROWS, FIRST_ROWS
    home, rank = Path(folder), world().rank
    old, new = str(home / "old.txt"), str(home / "new.txt")
    found: dict[str, Any] = {}
    for name, more in KINDS.items():
        model = Word2Vec(**SETTINGS, **more).fit(old, progress=False)
        found[name] = learned(model)
        model.save(home / f"{name}{rank}")
    found["resumed"] = resumed(old, home / "checkpoint")
    went_on = logq.load(home / "sg0").fit(new, progress=False)
    found["went on"] = learned(went_on)
    found["once more"] = learned(logq.load(home / f"sg{rank}").fit(new, progress=False))
    went_on.save_fasttext(home / f"model{rank}.bin")
    found["unknown"] = went_on.vectors["gardenless"]
    held = Word2Vec(**SETTINGS).fit(old, initial=given(), frozen=True, progress=False)
    found["held"] = learned(held)
    found["held words"] = held.vectors[HELD]
    try:
        Word2Vec(**SETTINGS).fit(old, initial=given() if rank else None, progress=False)
    except ValueError as error:
        found["other vectors"] = str(error)
    return found


def resumed(source: str, folder: Path) -> dict[str, np.ndarray]:
    """What a fit learns that was interrupted and goes on."""
    train = joint_run.JointRun._train_to

    def train_and_stop(run: Any, end: int) -> Any:
        losses = train(run, end)
        run._stops = run.epoch == 1
        return losses

    joint_run.JointRun._train_to = train_and_stop
    try:
        Word2Vec(**SETTINGS).fit(source, progress=False, checkpoint=folder)
        raise AssertionError("it was not interrupted")
    except KeyboardInterrupt:
        assert (folder / "checkpoint.safetensors").exists()
    finally:
        joint_run.JointRun._train_to = train
    return learned(Word2Vec(**SETTINGS).fit(source, progress=False, checkpoint=folder, resume=True))


# ------------------------------------------------------------------------------------------- the same, written plainly


class Students:
    """Replicas in one process, and a loop over rows for what they exchange."""

    def __init__(self, corpus: EncodedCorpus, settings: Word2Vec, size: int) -> None:
        seeds, words = Seeds.of(fresh_seed(SETTINGS["seed"])), corpus.vocabulary
        start = first_vectors(len(words), settings.dim, seeds.weights)
        self.engines = [FusedEngine(settings, words, start.copy(), seeds.sampler) for _ in range(size)]
        assert settings.lr is not None
        self.lr, self.epochs, self.length = settings.lr * size**0.125, settings.epochs, corpus.num_ids // size
        cuts = [corpus.num_ids * rank // size for rank in range(size + 1)]
        self.runs = [
            CorpusRun(corpus, engine, epochs=settings.epochs, lr=self.lr, seed=seeds.run, part=range(*cuts[rank:][:2]))
            for rank, engine in enumerate(self.engines)
        ]
        self.alone = min(self.length // 2, settings.epochs * self.length // 10)
        kept = corpus.counts / corpus.counts.sum()  # sample is 0
        around = settings.window + 1
        noise = words.counts**0.75 / (words.counts**0.75).sum()
        inputs: Counter[int] = Counter()
        ngrams, rows = CharacterNgrams(3, 4, 300), {}
        for word, name in enumerate(words.index_to_key):
            rows[word] = [word, *(("ngram", int(bucket)) for bucket in ngrams.of([name])[1])]
        buckets = sorted({row[1] for some in rows.values() for row in some[1:]})
        for word, some in rows.items():
            for row in some:
                inputs[row if row == word else len(words) + buckets.index(row[1])] += kept[word] * around
        few = kept * around, kept * around * (1 + settings.num_sampled * noise.sum() * noise / kept)
        self.updates = [np.array([inputs[row] for row in range(len(words) + len(buckets))]), few[1]]
        self.often = [self.updates[0] >= 5 / ALL_ROWS, few[0] >= 5 / ALL_ROWS]
        self.base: list[np.ndarray] = []

    def tables(self, engine: FusedEngine) -> list[np.ndarray]:
        return [engine.rows, engine.state()["outputs"]]

    def train(self) -> None:
        size = len(self.engines)
        for epoch in range(self.epochs):
            starts = [run.part.start for run in self.runs]
            if epoch:
                for run in self.runs:
                    run._start_epoch()
            else:
                starts[0] += self.alone
                self.runs[0]._train_to(starts[0])
                first = self.tables(self.engines[0])
                for engine in self.engines[1:]:
                    for table, of_first in zip(self.tables(engine), first, strict=True):
                        table[:] = of_first
                self.base = [table.astype(np.float64) for table in first]
                self.since = [np.zeros(len(table)) for table in self.base]
            done = 0
            while done < self.length:
                known = self.alone // size + epoch * self.length + done
                step = min(ALL_ROWS, max(FIRST_ROWS, known // 20))
                end = done + step if done + step + step // 2 < self.length else self.length
                step, begin = end - done, done
                for turn in range(1, 6):
                    done = begin + step * turn // 5
                    for run, start in zip(self.runs, starts, strict=True):
                        if run.entry < (there := start + (run.part.stop - start) * done // self.length):
                            run._train_to(there)
                    self.exchange(epoch * self.length + done, everywhere=turn == 5)

    def exchange(self, words: int, *, everywhere: bool) -> None:
        size = len(self.engines)
        rate = max(self.lr * (1 - words / (self.epochs * self.length)), self.lr * 1e-4)
        for number, curvature in enumerate((0.6, 0.1)):
            tables = [self.tables(engine)[number] for engine in self.engines]
            for row in range(len(tables[0])):
                if not (everywhere or self.often[number][row]):
                    continue
                steps = rate * curvature * self.updates[number][row] * (words - self.since[number][row])
                share = (1 - math.exp(-size * steps)) / (size * (1 - math.exp(-steps))) if steps > 1e-9 else 1.0
                base = self.base[number][row]
                base += share * sum(table[row].astype(np.float64) - base for table in tables)
                self.since[number][row] = words
                for table in tables:
                    table[row] = base


# --------------------------------------------------------------------------------------------------- what is expected


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("subwords")
    for name, some in {"old": sentences(), "new": sentences(200, ("hammer", "river"), 2)}.items():
        (folder / f"{name}.txt").write_text("\n".join(map(" ".join, some)))
    return folder


@pytest.fixture(scope="module")
def two(home: Path) -> list[dict[str, Any]]:
    return together(everything, str(home), size=2, seconds=600)


@pytest.mark.parametrize("name", [*KINDS, "went on", "once more", "held"])
def test_all_processes_have_the_same_rows_of_words_and_ngrams(two, name: str) -> None:
    for key, array in two[0][name].items():
        np.testing.assert_array_equal(array, two[1][name][key])
    assert {"vectors", "engine/outputs", "engine/ngrams"} == two[0][name].keys()


def test_two_learn_what_replicas_learn_that_a_plain_loop_adds_up(two, home: Path) -> None:
    check_against_students(two[0]["sg"], home / "old.txt", 2)


def fitted(source: str) -> dict[str, np.ndarray]:
    joint_run.ALL_ROWS, joint_run.FIRST_ROWS = ALL_ROWS, FIRST_ROWS
    return learned(Word2Vec(**SETTINGS).fit(source, progress=False))


@pytest.mark.slow
def test_four_learn_what_a_plain_loop_adds_up(home: Path) -> None:
    for got in together(fitted, str(home / "old.txt"), size=4):
        check_against_students(got, home / "old.txt", 4)


def check_against_students(got: dict[str, np.ndarray], source: Path, size: int) -> None:
    with encode(source, min_count=2) as corpus:
        students = Students(corpus, Word2Vec(**SETTINGS, threads=1, num_sampled=5), size)
        students.train()
    rows, outputs = students.tables(students.engines[0])
    start = first_vectors(len(rows), 12, 0)
    assert np.abs(rows).max() > 2 * np.abs(start).max()  # they have learned something
    np.testing.assert_allclose(np.concatenate([got["vectors"], got["engine/ngrams"]]), rows, atol=2e-4)
    np.testing.assert_allclose(got["engine/outputs"], outputs, atol=2e-4)


def test_two_learn_what_one_learns(two, home: Path) -> None:
    for name, more in KINDS.items():
        model, alone = logq.load(home / f"{name}0"), Word2Vec(**SETTINGS, **more).fit(home / "old.txt", progress=False)
        assert model.vocabulary.index_to_key == alone.vocabulary.index_to_key
        assert model.mean_loss == pytest.approx(alone.mean_loss, rel=0.05)
        for word in ("gardenerless", "walkering"):
            near, expected = (one.vectors.most_similar(word, topn=4) for one in (model, alone))
            assert {other[:4] for other, _ in near} == {other[:4] for other, _ in expected} == {word[:4]}


def test_an_interrupted_run_goes_on_to_the_same_bits(two) -> None:
    for key, array in two[0]["sg"].items():
        np.testing.assert_array_equal(two[0]["resumed"][key], array)


def test_a_saved_model_goes_on_to_the_same_bits_with_new_words(two, home: Path) -> None:
    for key, array in two[0]["went on"].items():
        np.testing.assert_array_equal(array, two[1]["once more"][key])
    assert len(two[0]["went on"]["vectors"]) > len(two[0]["sg"]["vectors"])


def test_unknown_words_have_vectors_here_and_in_a_file_of_fasttext(two, home: Path) -> None:
    there = KeyedVectors.load(home / "model0.bin")
    np.testing.assert_allclose(there["gardenless"], two[0]["unknown"], atol=1e-6)
    np.testing.assert_array_equal(two[0]["unknown"], two[1]["unknown"])


def test_held_words_stay_where_their_ngrams_move(two) -> None:
    for one in two:
        np.testing.assert_allclose(one["held words"], given()[HELD], atol=1e-6)
    assert np.abs(two[0]["held"]["engine/ngrams"] - two[0]["sg"]["engine/ngrams"]).max() > 1e-3


def test_processes_that_start_from_other_vectors_are_told(two) -> None:
    for one in two:
        assert "initial: expected the same in all processes" in one["other vectors"]


def test_only_the_first_process_writes(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Word2Vec(**SETTINGS).fit(sentences(50), progress=False)
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    model.save(tmp_path)
    model.save_vectors(tmp_path)
    model.save_fasttext(tmp_path / "model.bin")
    assert list(tmp_path.iterdir()) == []


def test_exchanges_of_one_process_change_nothing_but_roundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain engine on the same spans: where a span ends, words in reach give their n-grams what they have gained."""
    settings, seeds = Word2Vec(**SETTINGS, threads=1, num_sampled=5), Seeds.of(3)
    with encode(sentences(), min_count=2) as corpus:
        start = first_vectors(len(corpus.vocabulary), 12, seeds.weights)
        one, plain = (FusedEngine(settings, corpus.vocabulary, start, seeds.sampler) for _ in range(2))
        monkeypatch.setattr(joint_run, "ALL_ROWS", ALL_ROWS)
        monkeypatch.setattr(joint_run, "FIRST_ROWS", FIRST_ROWS)
        run, train = joint_run.JointRun(corpus, one, settings, seeds.run), one.train

        def train_both(span: Span, position: Position) -> Losses:
            plain.train(span, position)
            return train(span, position)

        monkeypatch.setattr(one, "train", train_both)
        while run.entry < run.part.stop:
            run._train_to(run._next_end())
    np.testing.assert_allclose(one.rows, plain.rows, atol=1e-5)
    np.testing.assert_allclose(one.state()["outputs"], plain.state()["outputs"], atol=1e-5)
