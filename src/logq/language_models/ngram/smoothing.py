"""Smoothing of n-gram counts: maximum likelihood, add-k, and interpolated modified Kneser-Ney."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from logq._arguments import ArgumentError
from logq._progress import Progress
from logq.language_models.ngram.backoff import BackoffTable, Floats, Floats32
from logq.language_models.ngram.ngram_counts import Counts
from logq.text.disk_columns import Column, MemoryColumn, pieces

__all__ = ["STEPS", "Discounts", "additive", "best_k", "estimate_discounts", "kneser_ney"]


def additive(counts: Counts, k: float, bar: Progress | None = None) -> BackoffTable:
    """Return the table of add-k smoothing; k = 0 is maximum likelihood.

        P(w | h) = (c(h w) + k) / (c(h) + k V)

    h are the N - 1 words before w, or all before it in its line, including <s>. There is no backing off: after a
    history that the text lacks, P = 1 / V, and without smoothing (k = 0), where the formula is 0 / 0, P = 0.

    Args:
        counts: of the text.
        k: what is added to every count, at least 0.
        bar: advanced by the number of n-grams that are done.

    References:
        Lidstone, Note on the general case of the Bayes-Laplace formula for inductive or a posteriori probabilities,
        1920; Jurafsky and Martin, Speech and Language Processing, chapter 3.

    Example:
        >>> from logq.text import read_tokens
        >>> from logq.language_models.ngram.ngram_counts import count_ngrams
        >>> with read_tokens([["a"], ["a"], ["b"]]) as tokens:  # </s> 0, a 1, b 2, <unk> 3
        ...     table = additive(count_ngrams(tokens, 2), 1.0)
        >>> np.exp(table.score_next([4])).round(3)  # (c + 1) / (3 + 4)
        array([0.143, 0.429, 0.286, 0.143])
    """
    size, order = counts.vocab_size, counts.order
    table = _TableInTheMaking(counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        unseen = np.log(1 / size) if k else -np.inf
        for n in range(1, order + 1):
            # The history before the last word is complete if n = N, or if the n-gram begins where its line does.
            complete = 0 if n == order else counts.first_at_line_start(n)
            complete_context = 0 if n == order else counts.first_at_line_start(n - 1) if n > 1 else 0
            table.begin(n)
            for part, first, contexts in counts.siblings(n, _BLOCK):
                own = counts.counts[n - 1][part]
                if n == 1:  # nothing is followed by <s>
                    own = np.append(own[:size], 0)
                totals = np.bincount(contexts, own)
                values = np.log((own + k) / (totals[contexts] + k * size))
                values[: max(0, complete - part.start)] = unseen
                if n == 1:
                    values[size] = -np.inf
                table.log_probs.append(values)
                if n > 1:
                    weights = np.log(k * size / (totals + k * size)) if k else np.zeros(len(totals))
                    weights[: max(0, complete_context - first)] = 0
                    table.add_weights(first, weights)
                if bar is not None:
                    bar.advance(len(own))
    return table.finish()


def best_k(measure: Callable[[float], float], bar: Progress) -> float:
    """Return the k from 1e-5 to 10 with the lowest perplexity: every half decade is tried, then closer to the best.

    Args:
        measure: the perplexity of a held-out text for a k.
        bar: advanced by 1 for each of STEPS measurements.
    """
    tried: dict[float, float] = {}
    step, around = 0.5, np.arange(-5.0, 1.1, 0.5).tolist()
    while True:
        for exponent in around:
            tried[exponent] = measure(10.0**exponent)
            bar.advance(1, k=10.0**exponent, perplexity=tried[exponent])
        best = min(tried, key=tried.__getitem__)
        step /= 2
        if step < 0.1:
            return 10.0**best
        around = [best - step, best + step]


STEPS = 17
"""The number of measurements of `best_k`."""


Discounts: TypeAlias = tuple[float, float, float]
"""What is subtracted from a count of 1, of 2, and of 3 or more."""

_BLOCK = 1 << 20  # n-grams at a time, so that intermediate results take little memory


def kneser_ney(counts: Counts, discounts: Sequence[Discounts], bar: Progress | None = None) -> BackoffTable:
    """Return the table of interpolated modified Kneser-Ney smoothing.

        P(w | h) = (c(h w) - D(c(h w))) / c(h .) + g(h) P(w | h without its first word)
        g(h) = (D1 n1(h .) + D2 n2(h .) + D3 n3+(h .)) / c(h .)

    c are adjusted counts (Counts.adjusted), D the discounts of the order of h w, n1(h .) the number of words with a
    count of 1 after h, and so on. Unigrams are interpolated with the uniform distribution 1 / V over all words,
    including </s> and <unk>.

    Equivalent to: `lmplz` of KenLM.

    Args:
        counts: of the text.
        discounts: one triple for each order 1 .. N.
        bar: advanced by the number of n-grams that are done.

    References:
        Chen and Goodman, An Empirical Study of Smoothing Techniques for Language Modeling, Computer Speech and Language
        13, 1999, section 3; Heafield, Pouzyrevsky, Clark and Koehn, Scalable Modified Kneser-Ney Language Model
        Estimation, ACL 2013.

    Example:
        >>> from logq.text import read_tokens
        >>> from logq.language_models.ngram.ngram_counts import count_ngrams
        >>> with read_tokens([["a"], ["a"], ["b"]]) as tokens:  # </s> 0, a 1, b 2, <unk> 3
        ...     counts = count_ngrams(tokens, 1)
        >>> np.exp(kneser_ney(counts, [(0.5, 1.0, 1.5)]).log_probs[0])[:4].round(3)  # 6 tokens
        array([0.375, 0.292, 0.208, 0.125], dtype=float32)
    """
    size = counts.vocab_size
    table = _TableInTheMaking(counts)
    below: Column = np.full(1, 1 / size)  # P of the order before
    for n, triple in enumerate(discounts, 1):
        adjusted = counts.adjusted(n)
        lower = counts.below(n, below) if n > 1 else np.full(size + 1, 1 / size)
        taken = np.array([0.0, *triple])
        probs = counts.column(np.float64, len(adjusted))
        table.begin(n)
        for part, first, contexts in counts.siblings(n, _BLOCK):
            own = adjusted[part]
            kinds = np.minimum(own, 3)
            # Sums of integers are exact, so that they do not depend on how n-grams are cut into blocks.
            totals = np.bincount(contexts, own)
            spare = np.zeros(len(totals))
            for kind, discount in enumerate(triple, 1):
                spare += discount * np.bincount(contexts, kinds == kind)
            # Where nothing follows a context, all of P comes from the order below.
            weight = np.divide(spare, totals, out=np.ones(len(totals)), where=totals > 0)
            values = (own - taken[kinds]) / totals[contexts] + weight[contexts] * lower[part]
            if n < counts.order:
                probs.append(values)
            with np.errstate(divide="ignore"):
                values, weight = np.log(values), np.log(weight)
            if n == 1:
                values[size] = -np.inf  # nothing is followed by <s>
            else:
                table.add_weights(first, weight)
            table.log_probs.append(values)
            if bar is not None:
                bar.advance(len(own))
        below = probs.finish() if isinstance(probs, MemoryColumn) else probs
    return table.finish()


class _TableInTheMaking:
    """The columns of a BackoffTable, which are written order by order."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._log_probs: list[Floats32] = []
        self._weights: list[Floats32] = []

    def begin(self, n: int) -> None:
        """Go on with order n."""
        self._end()
        sizes = [len(column) for column in self._counts.counts]
        self.log_probs = self._counts.column(np.float32, sizes[n - 1])
        self._contexts = sizes[n - 2] if n > 1 else 0
        self.weights = self._counts.column(np.float32, self._contexts)

    def add_weights(self, first: int, weights: Floats) -> None:
        """Append logarithms of weights from context `first` on; those between, which nothing follows, have 1."""
        self._fill(first)
        self.weights.append(weights)

    def finish(self) -> BackoffTable:
        """Return the table."""
        self._end()
        return BackoffTable(self._counts.vocab_size, self._counts.table_keys(), self._log_probs, self._weights)

    def _end(self) -> None:
        if not hasattr(self, "log_probs"):
            return
        if self._log_probs:
            self._fill(self._contexts)
            self._weights.append(self.weights.finish())
        self._log_probs.append(self.log_probs.finish())

    def _fill(self, stop: int) -> None:
        for part in pieces(stop - len(self.weights), _BLOCK):
            self.weights.append(np.zeros(part.stop - part.start, np.float32))


def estimate_discounts(adjusted: Column, order: int, fallback: Sequence[float] | None = None) -> Discounts:
    """Return the discounts of an order, from the numbers of n-grams with adjusted counts 1 to 4.

        D_j = j - (j + 1) Y n_{j+1} / n_j  with Y = n_1 / (n_1 + 2 n_2),  j = 1, 2, 3+

    Args:
        adjusted: the adjusted counts of its n-grams.
        order: for the message.
        fallback: used where they cannot be estimated, because n_1, n_2 or n_3 is 0 or a D_j is not in [0, j].

    Raises:
        ArgumentError: they cannot be estimated, as happens with tiny or artificial texts, and there is no `fallback`.

    References:
        Chen and Goodman 1999, equation 26.

    Example:
        >>> counts = np.repeat([1, 2, 3, 4], [100, 30, 15, 8])
        >>> [round(value, 3) for value in estimate_discounts(counts, 2)]
        [0.625, 1.062, 1.667]
    """
    parts = (adjusted[part] for part in pieces(len(adjusted), _BLOCK))
    n = sum((np.bincount(np.minimum(part, 5), minlength=6) for part in parts), np.zeros(6, np.int64))[1:5].tolist()
    problem = ""
    if 0 in n[:3]:
        problem = f"no {order}-gram has a count of {n.index(0) + 1}"
    else:
        y = n[0] / (n[0] + 2 * n[1])
        found = [j - (j + 1) * y * n[j] / n[j - 1] for j in (1, 2, 3)]
        wrong = [j for j, value in enumerate(found, 1) if not 0 <= value <= j]
        if not wrong:
            return found[0], found[1], found[2]
        problem = f"that of {order}-grams with a count of {wrong[0]} would be {found[wrong[0] - 1]:.3g}"
    if fallback is None:
        raise ArgumentError(
            "discount_fallback",
            f"three discounts, such as 0.5,1.0,1.5, as Kneser-Ney cannot estimate them from this text, where {problem}",
            hint="or lower the order, or use add_k smoothing",
        )
    return fallback[0], fallback[1], fallback[2]
