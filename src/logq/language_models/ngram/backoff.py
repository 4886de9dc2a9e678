"""A back-off model: log P of known n-grams and the weights of backing off, looked up for whole texts at a time."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from logq.language_models.ngram.ngram_counts import Ids64, find
from logq.text.tokens import Tokens

__all__ = ["BackoffTable"]

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

_BLOCK = 1 << 18  # tokens scored at a time


class BackoffTable(NamedTuple):
    """Probabilities of n-grams, n = 1 .. N, and weights of contexts, as an ARPA file has them.

        P(w | w_1 ... w_m) = p(w_1 ... w_m w)                            if that (m+1)-gram is in the table
                           = weight(w_1 ... w_m) P(w | w_2 ... w_m)      if not; missing weights are 1

    Interpolated smoothing has this form too, with p as the whole sum. The table takes 16 bytes for each n-gram, 12 for
    those of the highest order.

    Attributes:
        vocab_size: V; the word V stands for <s>.
        keys: for n = 2 .. N, (N_n,) int64, sorted; see NGramCounts.
        log_probs: for n = 1 .. N, (N_n,) float32 natural logarithms; of order 1 (V + 1,), <s> last.
        weights: for n = 1 .. N - 1, (N_n,) float32 natural logarithms.

    Example:
        >>> uniform = BackoffTable(2, [], [np.log(np.float32([0.5, 0.5, 0]) + 1e-30)], [])
        >>> np.exp(uniform.score(np.array([2, 0, 1])))[1:].round(3)
        array([0.5, 0.5])
    """

    vocab_size: int
    keys: list[Ids64]
    log_probs: list[Floats32]
    weights: list[Floats32]

    @property
    def order(self) -> int:
        """N."""
        return len(self.log_probs)

    @property
    def sizes(self) -> list[int]:
        """The number of n-grams of each order, counting <s>."""
        return [len(values) for values in self.log_probs]

    def score(self, ids: Ids64) -> Floats:
        """Return log P of each word given those before it in the array.

        Args:
            ids: (n,) words of one or more lines, each with V, for <s>, before it.

        Returns:
            (n,) natural logarithms; the value at a V has no meaning.
        """
        log_probs = self.log_probs[0][ids].astype(np.float64)
        found = (
            ids  # the position among its order of the longest n-gram that ends at each word, of those looked up so far
        )
        for keys, values, weights in zip(self.keys, self.log_probs[1:], self.weights, strict=True):
            before = np.empty(len(ids), np.int64)
            before[:1] = -1
            before[1:] = found[:-1]
            inside = np.flatnonzero(before >= 0)
            contexts = before[inside]
            at = find(keys, contexts * (self.vocab_size + 1) + ids[inside])
            known = at >= 0
            log_probs[inside[known]] = values[at[known]]
            log_probs[inside[~known]] += weights[contexts[~known]]
            found = np.full(len(ids), -1, np.int64)
            found[inside] = at
        return log_probs

    def score_text(self, tokens: Tokens) -> Iterator[tuple[Ids64, Floats]]:
        """Yield the tokens of a text in order, in blocks: ids (n,) and log P of each (n,)."""
        start = self.vocab_size
        before = np.array([start])  # <s>, and later the words that the next block needs as context
        for block in tokens.blocks(_BLOCK):
            # Where a line ends, the next one begins.
            ids = np.insert(block.astype(np.int64), np.flatnonzero(block == tokens.end) + 1, start)
            all_ids = np.concatenate([before, ids])
            log_probs = self.score(all_ids)[len(before) :]
            before = all_ids[max(0, len(all_ids) - self.order + 1) :]
            counted = ids != start
            yield ids[counted], log_probs[counted]

    def score_next(self, ids: Sequence[int]) -> Floats:
        """Return log P of each of the V words after the beginning of a line, which starts with V for <s>: (V,)."""
        size = self.vocab_size + 1
        log_probs = self.log_probs[0][: self.vocab_size].astype(np.float64)
        for n in range(2, min(self.order, len(ids) + 1) + 1):
            context = self.position(ids[len(ids) - n + 1 :])
            if context >= 0:
                keys = self.keys[n - 2]
                first, last = np.searchsorted(keys, [context * size, (context + 1) * size])
                log_probs += self.weights[n - 2][context]
                log_probs[keys[first:last] - context * size] = self.log_probs[n - 1][first:last]
        return log_probs

    def position(self, ids: Sequence[int]) -> int:
        """Return the position of an n-gram among those of its order, -1 if it is unknown."""
        position = ids[0]
        for keys, word in zip(self.keys, ids[1:], strict=False):
            key = position * (self.vocab_size + 1) + word
            position = int(np.searchsorted(keys, key))
            if position == len(keys) or keys[position] != key:
                return -1
        return position

    def words(self, n: int, start: int, stop: int) -> Ids64:
        """Return the words of n-grams number `start` to `stop` of an order: (stop - start, n)."""
        words = np.empty((stop - start, n), np.int64)
        contexts = np.arange(start, stop)
        for column in range(n - 1, 0, -1):
            contexts, words[:, column] = np.divmod(self.keys[column - 1][contexts], self.vocab_size + 1)
        words[:, 0] = contexts
        return words

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name."""
        named = (("keys", 2, self.keys), ("log_probs", 1, self.log_probs), ("weights", 1, self.weights))
        return {f"{name}.{n}": array for name, first, arrays in named for n, array in enumerate(arrays, first)}

    @classmethod
    def from_state(cls, vocab_size: int, order: int, state: Mapping[str, NDArray[Any]]) -> "BackoffTable":
        """Make a table of what `state` returned.

        Raises:
            KeyError, ValueError: arrays are missing, or do not fit a table of this size.
        """
        keys = [state[f"keys.{n}"] for n in range(2, order + 1)]
        log_probs = [state[f"log_probs.{n}"] for n in range(1, order + 1)]
        weights = [state[f"weights.{n}"] for n in range(1, order)]
        table = cls(vocab_size, keys, log_probs, weights)
        for n in range(1, order + 1):
            _check(table, n)
        return table


def _check(table: BackoffTable, n: int) -> None:
    """Raise ValueError if the arrays of an order do not fit each other."""
    size = table.vocab_size + 1
    log_probs = table.log_probs[n - 1]
    shape = (size,) if n == 1 else (len(table.keys[n - 2]),)
    for name, arrays in (("log_probs", table.log_probs), ("weights", table.weights)):
        if n <= len(arrays) and (arrays[n - 1].dtype != np.float32 or arrays[n - 1].shape != shape):
            raise ValueError(f"expected {shape} float32 for '{name}.{n}', got {arrays[n - 1].shape}")
    if not (log_probs <= 1e-5).all() or (n < table.order and not (table.weights[n - 1] < np.inf).all()):
        raise ValueError(f"expected logarithms of probabilities and weights of order {n}")
    if n > 1:
        keys = table.keys[n - 2]
        if keys.dtype != np.int64 or keys.ndim != 1 or (np.diff(keys) <= 0).any():
            raise ValueError(f"expected increasing int64 for 'keys.{n}'")
        if len(keys) and (keys[0] < 0 or keys[-1] >= table.sizes[n - 2] * size or (keys % size == size - 1).any()):
            raise ValueError(f"expected words below {size - 1} and contexts of order {n - 1} for 'keys.{n}'")
