"""The engine with subwords is a student's loop: words in reach are means of their rows, which gain what those gain."""

import numpy as np
import pytest

import logq
from logq.vectors.word_parts import WordParts
from logq.word2vec.kernel import simd_levels, table, train
from word2vec_cases import KINDS, make_setup, make_text, with_options
from word2vec_loop import UNIT, Student, bits_at, plan


def kept_words(ids, setup, begin, end, place):
    """Words of a unit that stay, those before and behind it that a window can reach, and the number of those before."""

    def stays(at):
        return bits_at(place["seed"], place["position"] + at) >> 32 <= int(setup.keep[ids[at]])

    def beyond(places):
        found = []
        for at in places:
            if ids[at] < 0 or len(found) == setup.window:
                break
            found += [at] if stays(at) else []
        return found

    before = beyond(range(begin - 1, -1, -1))[::-1]
    behind = beyond(range(end, len(ids)))
    inside = [at for at in range(begin, end) if ids[at] >= 0 and stays(at)]
    return [*before, *inside, *behind]


class SubwordStudent(Student):
    """Trains copies of the words in reach."""

    def __init__(self, rows, outputs, setup):
        super().__init__(np.full((setup.parts.num_words, rows.shape[1]), np.nan), outputs, setup)
        self.rows = rows.astype(np.float64)
        self.latest, self.start = {}, {}

    def parts(self, word):
        offsets = self.setup.parts.offsets
        return self.setup.parts.rows[offsets[word] : offsets[word + 1]]

    def leave(self, word):
        gain = self.inputs[word] - self.start[word]
        for row in self.parts(word):
            self.rows[row] += gain
        self.inputs[word] = np.nan
        del self.latest[word]

    def at_once(self, block):  # words out of reach are not numbers here, and nobody looks at them
        known = np.nan_to_num(self.inputs)
        missing, self.inputs = np.isnan(self.inputs), known
        super().at_once(block)
        self.inputs[missing] = np.nan

    def train_text(self, ids, begin, end, **place):
        blocks = plan(ids, self.setup, begin=begin, end=end, **place)
        for unit in range(begin, end, UNIT):
            last = min(unit + UNIT, end)
            kept = kept_words(ids, self.setup, unit, last, place)
            entered = 0
            for block in [each for each in blocks if unit <= each.centers[0].place < last]:
                first, behind = kept.index(block.centers[0].place), kept.index(block.centers[-1].place) + 1
                for word in [word for word, at in self.latest.items() if at < first - self.setup.window]:
                    self.leave(word)
                for at in range(entered, min(len(kept), behind + self.setup.window)):
                    word = int(ids[kept[at]])
                    if word not in self.latest:
                        self.start[word] = self.rows[self.parts(word)].mean(axis=0)
                        self.inputs[word] = self.start[word]
                    self.latest[word] = at
                entered = max(entered, min(len(kept), behind + self.setup.window))
                self.train([block])
            for word in list(self.latest):
                self.leave(word)


def make_parts(words, rng, rows=12):
    """One to five rows of a few, some of them twice."""
    counts = rng.integers(0, 5, words)
    others = [rng.integers(words, words + rows, count) for count in counts]
    joined = np.concatenate([np.concatenate([[word], other]) for word, other in enumerate(others)])
    return WordParts(
        np.concatenate([[0], (counts + 1).cumsum()]), joined.astype(np.int32), np.arange(rows, dtype=np.int32)
    )


def check_case(kind, dim, window, words, size=60, begin=2, end=55, rate=0.02, sentence=12):
    rng = np.random.default_rng([dim, window, words, size])
    setup = with_options(make_setup(words, rng=rng, window=window, **KINDS[kind]), parts=make_parts(words, rng))
    ids = make_text(words, size, rng, sentence=sentence)
    rows, outputs = table(setup.parts.num_rows, dim), table(words - (setup.tree is not None), dim)
    for made in (rows, outputs):
        made[:, :dim] = rng.normal(size=(len(made), dim)) * dim**-0.25
    place = {"position": int(rng.integers(2**40)), "seed": int(rng.integers(2**63)), "rate": (rate, 0, 0)}
    student = SubwordStudent(rows[:, :dim], outputs[:, :dim], setup)
    student.train_text(ids, begin, end, **place)
    for level in simd_levels():
        trained = table(len(rows), dim), table(len(outputs), dim)
        trained[0][:], trained[1][:] = rows, outputs
        losses = train(*trained, ids, with_options(setup, simd=level), begin=begin, end=end, **place)
        np.testing.assert_allclose(trained[0][:, :dim], student.rows, rtol=1e-5, atol=1e-5, err_msg=level)
        np.testing.assert_allclose(trained[1][:, :dim], student.outputs, rtol=1e-5, atol=1e-5, err_msg=level)
        assert not trained[0][:, dim:].any()
        assert losses.pairs == student.pairs
        np.testing.assert_allclose(losses.loss_sum, student.loss, rtol=1e-4, atol=1e-6)
    assert np.abs(student.rows - rows[:, :dim]).max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_are_the_loop(kind):
    for dim, window, words in ((3, 1, 8), (17, 5, 60), (100, 3, 20)):
        check_case(kind, dim, window, words)


@pytest.mark.parametrize("kind", ["skip-gram, a pool", "skip-gram, blocks of 3", "CBOW, a pool"])
def test_units_are_the_loop(kind):
    check_case(kind, 4, 4, 40, size=2600, begin=17, end=2500, rate=0.005, sentence=400)


def test_threads_train_every_word():
    rng = np.random.default_rng(2)
    setup = with_options(make_setup(300, rng=rng, window=5), parts=make_parts(300, rng, rows=200))
    ids = make_text(300, 9000, rng)
    rows, outputs = table(500, 20), table(300, 20)
    rows[:, :20] = rng.normal(size=(500, 20)) * 0.1
    made = []
    for threads in (1, 3):
        trained = table(500, 20), table(300, 20)
        trained[0][:] = rows
        trained[1][:] = outputs
        losses = train(
            *trained,
            ids,
            with_options(setup, threads=threads),
            begin=0,
            end=9000,
            position=0,
            seed=1,
            rate=(0.002, 0, 0),
        )
        made.append((trained[0] - rows, losses.pairs))
    assert made[0][1] == made[1][1]
    assert np.corrcoef(made[0][0].ravel(), made[1][0].ravel())[0, 1] > 0.9


@pytest.mark.parametrize(
    ("offsets", "rows", "name"),
    [
        ([0, 1, 1], [0], "part_offsets"),
        ([0, 2, 1], [0, 1], "part_offsets"),
        ([0, 1, 3], [0, 1], "part_offsets"),
        ([1, 2, 3], [0, 1, 2], "part_offsets"),
        ([0, 1, 2], [0, 3], "parts"),
        ([0, 1, 2], [-1, 0], "parts"),
    ],
)
def test_parts_that_do_not_fit_are_refused(offsets, rows, name):
    parts = WordParts(np.array(offsets), np.array(rows, np.int32), np.zeros(0, np.int32))
    setup = with_options(make_setup(2, rng=np.random.default_rng(0), window=1), parts=parts)
    place = {"begin": 0, "end": 2, "position": 0, "seed": 1, "rate": (0.1, 0, 0)}
    with pytest.raises(ValueError, match=f"^{name}: "):
        train(table(3, 4), table(2, 4), np.array([0, 1], np.int32), setup, **place)


def test_parts_are_the_rows_of_the_n_grams_that_words_have():
    ngrams = logq.text.CharacterNgrams(2, 3, 50)
    words = ["tea", "teapot", "日本"]
    parts = WordParts.of(words, ngrams)
    offsets, found = ngrams.of(words)
    for word in range(3):
        own, *others = parts.rows[parts.offsets[word] : parts.offsets[word + 1]].tolist()
        assert own == word
        assert parts.buckets[np.array(others) - 3].tolist() == found[offsets[word] : offsets[word + 1]].tolist()
    assert parts.buckets.tolist() == sorted(set(found.tolist()))
