"""Smoothing, held to formulas over dictionaries as a student would write them from the papers."""

import itertools
import math
from collections import Counter
from functools import cache

import numpy as np
import pytest

from logq.language_models.ngram import backoff, ngram_counts
from logq.language_models.ngram import smoothing as smoothing_module
from logq.language_models.ngram.ngram import NGram
from logq.language_models.ngram.smoothing import estimate_discounts
from logq.text import read_tokens

FALLBACK = (0.4, 0.9, 1.3)


class Student:
    """P(w | h) by dictionaries; words are strings, and a line's history begins with <s>."""

    def __init__(self, lines, order, vocabulary, k=None):
        self.order, self.vocabulary, self.k = order, vocabulary, k
        self.raw = [Counter() for _ in range(order + 1)]
        for line in lines:
            row = ["<s>", *line, "</s>"]
            for n in range(1, order + 1):
                self.raw[n].update(gram for i in range(len(row) - n + 1) if (gram := tuple(row[i : i + n])) != ("<s>",))
        self.counts = [Counter(), *(self.adjusted(n) for n in range(1, order + 1))]
        self.discounts = [None, *(self.discount(n) for n in range(1, order + 1))]
        self.kneser_ney = cache(self.kneser_ney)

    def adjusted(self, n):
        if n == self.order:
            return self.raw[n]
        before = Counter(gram[1:] for gram in self.raw[n + 1])
        return Counter({gram: self.raw[n][gram] if gram[0] == "<s>" else before[gram] for gram in self.raw[n]})

    def discount(self, n):
        n1, n2, n3, n4 = (sum(count == j for count in self.counts[n].values()) for j in (1, 2, 3, 4))
        if not n1 or not n2 or not n3:
            return FALLBACK
        y = n1 / (n1 + 2 * n2)
        found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        return found if all(0 <= d <= j for j, d in enumerate(found, 1)) else FALLBACK

    def kneser_ney(self, history, word):
        n = len(history) + 1
        after = {gram[-1]: count for gram, count in self.counts[n].items() if gram[:-1] == history}
        lower = self.kneser_ney(history[1:], word) if history else 1 / len(self.vocabulary)
        if not after:
            return lower
        taken = {w: self.discounts[n][min(count, 3) - 1] for w, count in after.items()}
        total = sum(after.values())
        return (after.get(word, 0) - taken.get(word, 0)) / total + sum(taken.values()) / total * lower

    def additive(self, history, word):
        n = len(history) + 1
        after = sum(count for gram, count in self.raw[n].items() if gram[:-1] == history)
        below = after + self.k * len(self.vocabulary)
        return (self.raw[n][(*history, word)] + self.k) / below if below else 0.0

    def next(self, line, smoothing):
        history = ("<s>", *line)[max(0, len(line) + 2 - self.order) :]
        probability = self.kneser_ney if smoothing == "kneser_ney" else self.additive
        return np.array([probability(history, word) for word in self.vocabulary])


def corpus(seed, lines=14, words="abcd"):
    rng = np.random.default_rng(seed)
    weights = 1.0 / np.arange(1, len(words) + 1)
    return [rng.choice(list(words), rng.integers(1, 7), p=weights / weights.sum()).tolist() for _ in range(lines)]


def make(order, smoothing, k=0.3):
    return NGram(order, smoothing, k=k, discount_fallback=FALLBACK)


SMOOTHINGS = [("kneser_ney", None), ("add_k", 0.3), ("maximum_likelihood", 0)]


@pytest.mark.parametrize(("smoothing", "k"), SMOOTHINGS)
@pytest.mark.parametrize("order", [1, 2, 3, 4, 5, 7])
def test_probabilities_are_those_of_the_formula_and_sum_to_one(order, smoothing, k):
    lines = corpus(order)
    model = make(order, smoothing).fit(lines, progress=False)
    words = model.vocabulary.index_to_key
    assert set(words) == {"a", "b", "c", "d", "</s>", "<unk>"}
    student = Student(lines, order, words, k)
    plain = [word for word in words if word != "</s>"]
    # Every context that the order can tell apart, as long as it stays countable, and some longer ones that occur.
    contexts = [list(row) for n in range(min(order, 4)) for row in itertools.product(plain, repeat=n)]
    contexts += [line[:n] for line in lines for n in range(4, len(line))]
    for context in contexts:
        found = np.exp(model._next_log_probs(model._ids("", context)))
        expected = student.next(context, smoothing)
        np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-9, err_msg=str(context))
        assert found.sum() == pytest.approx(0 if k == 0 and not expected.any() else 1, abs=1e-5)
    assert k != 0 or any(student.next(context, smoothing).any() for context in contexts)


@pytest.mark.parametrize(("smoothing", "k"), SMOOTHINGS)
@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_texts_are_scored_word_by_word_however_they_are_cut(order, smoothing, k, monkeypatch):
    lines, text = corpus(1, 20), [*corpus(2, 9, "abcde"), ["e"], ["a", "e", "a"]]
    student = None
    values = []
    for size in (1, 3, 7, 1 << 20):
        monkeypatch.setattr(backoff, "_BLOCK", size)
        monkeypatch.setattr(ngram_counts, "_BLOCK", size + 1)
        monkeypatch.setattr(smoothing_module, "_BLOCK", size)
        model = make(order, smoothing).fit(lines, progress=False)
        student = student or Student(lines, order, model.vocabulary.index_to_key, k)
        values.append(model.evaluate(text, progress=False))
    expected = 0.0
    impossible = unknown = 0
    for line in text:
        row = [word if word in "abcd" else "<unk>" for word in line] + ["</s>"]
        scores = []
        for i, word in enumerate(row):
            p = student.next(row[:i], smoothing)[student.vocabulary.index(word)]
            scores.append(math.log(p) if p else -math.inf)
        impossible += scores.count(-math.inf)
        unknown += row.count("<unk>")
        expected += sum(scores)
        assert model.score(line) == pytest.approx(sum(scores), rel=1e-5)
        assert model.score(line, end=False) == pytest.approx(sum(scores[:-1]), rel=1e-5)
        found = model.log_probs(" ".join(line))
        assert [word for word, _ in found] == row
        assert [value for _, value in found] == pytest.approx(scores, rel=1e-5)
    for value in values:
        assert value.log_prob == pytest.approx(expected, rel=1e-5)
        assert (value.num_tokens, value.num_sentences) == (sum(len(line) + 1 for line in text), len(text))
        assert (value.num_unknown, value.num_impossible) == (unknown, impossible)
    assert (impossible > 0) == (smoothing == "maximum_likelihood")


def test_counts_are_those_of_the_text():
    lines = corpus(5, 30)
    with read_tokens(lines) as tokens:
        counted = ngram_counts.count_ngrams(tokens, 4)
        names = [*tokens.vocabulary.index_to_key, "<s>"]
    student = Student(lines, 4, names)
    table = backoff.BackoffTable(counted.vocab_size, counted.keys, [c.astype(np.float32) for c in counted.counts], [])
    for n in range(1, 5):
        grams = [tuple(names[i] for i in row) for row in table.words(n, 0, len(counted.counts[n - 1])).tolist()]
        found = dict(zip(grams, counted.counts[n - 1].tolist(), strict=True))
        if n == 1:
            assert found.pop(("<s>",)) == len(lines)
            assert found.pop(("<unk>",)) == 0
        assert found == student.raw[n]
        if n > 1:
            assert [grams[i][0] == "<s>" for i in range(len(grams))] == [
                i >= counted.first_at_line_start(n) for i in range(len(grams))
            ]
            below = table.words(n - 1, 0, len(counted.counts[n - 2]))
            assert [tuple(names[i] for i in below[place]) for place in counted.suffixes[n - 2]] == [
                g[1:] for g in grams
            ]


@pytest.mark.parametrize(
    ("n", "message"),
    [([0, 5, 5, 5], "no 2-gram has a count of 1"), ([5, 5, 0, 5], "a count of 3"), ([1, 1, 9, 9], "would be -7")],
)
def test_discounts_that_cannot_be_estimated(n, message):
    adjusted = np.repeat([1, 2, 3, 4], n)
    expected = rf"discount_fallback: expected three discounts, such as 0.5,1.0,1.5, .*{message}"
    with pytest.raises(ValueError, match=expected):
        estimate_discounts(adjusted, 2)
    assert estimate_discounts(adjusted, 2, FALLBACK) == FALLBACK


def test_a_count_of_four_need_not_occur():
    assert estimate_discounts(np.repeat([1, 2, 3], [10, 4, 2]), 1)[2] == 3.0


def test_the_best_k_of_a_validation_text():
    lines, validation = corpus(1, 40), corpus(2, 20)
    best = NGram(2, "add_k", k=None).fit(lines, validation=validation, progress=False)
    assert best.metadata["validation"]["perplexity"] == pytest.approx(best.perplexity(validation, progress=False))
    for factor in (10**-0.125, 10**0.125):
        other = NGram(2, "add_k", k=best.metadata["k"] * factor).fit(lines, progress=False)
        assert other.perplexity(validation, progress=False) > best.metadata["validation"]["perplexity"]
    with pytest.raises(ValueError, match="validation: expected a text"):
        NGram(2, "add_k", k=None).fit(lines)


def test_nothing_is_found_among_no_keys():
    assert ngram_counts.find(np.array([], np.int64), np.array([7, 3])).tolist() == [-1, -1]
