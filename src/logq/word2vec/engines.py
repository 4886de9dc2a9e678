"""Engine: what trains word2vec, the interface of all engines; and the table that says where they are."""

import math
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from logq.text import Vocabulary
from logq.vectors.word_parts import WordParts
from logq.word2vec.kernel import Losses
from logq.word2vec.word2vec_config import Word2VecConfig

__all__ = [
    "AROUND",
    "ENGINES",
    "Engine",
    "HeldRows",
    "Position",
    "Span",
    "check_arrays",
    "first_rows",
    "first_vectors",
    "in_pieces",
    "load_engine",
    "rows_of_buckets",
]

Floats: TypeAlias = NDArray[np.float32]

ENGINES = {
    "fused": "logq.word2vec.fused_engine:FusedEngine",
    "triton": "logq.word2vec.triton_engine:TritonEngine",
    "plain": "logq.word2vec.plain_engine:PlainEngine",
}
"""Name -> "module:class". Only `fused` does without torch."""

PARTITIONED = "logq.word2vec.partitioned_engine:PartitionedEngine"
"""What `fused` is where the tables are cut in partitions."""

AROUND = 100
"""Text on both sides of a span, in words for each word of `reach`: words that are thinned out do not count there."""

HELD_SPAN = 1 << 14
"""Entries of text after which rows that are held are put back."""


class Position(NamedTuple):
    """The position of a span of text in a training run.

    Args:
        entry: of the encoded corpus, from 0.
        rate: (start, slope, floor) of this epoch: the learning rate at entry p is max(floor, start - slope p).
        seed: of everything random in this epoch.
    """

    entry: int
    rate: tuple[float, float, float]
    seed: int


class Span(NamedTuple):
    """A part of an encoded corpus: words to predict, with some text on both sides.

    Args:
        ids: words, and -1 where sentences end.
        begin: index of the first word to predict.
        end: index behind the last.
    """

    ids: NDArray[np.int32]
    begin: int
    end: int


class Engine(ABC):
    """Tables of vectors, and how to train them on a span of text.

    Args:
        settings: how to train; not kept.
        vocabulary: V words.
        vectors: (V, D) to start from; taken over, not necessarily copied.
        seed: of what is random at the start.
    """

    name: ClassVar[str]
    max_span: ClassVar[int]
    """The most entries that are trained in one call."""
    min_span: int = 1 << 14
    """The fewest that are worth a call, where there are as many."""
    reach: int = 0
    """How far the engine looks at text outside of a span, in words."""
    loss_every: int = 1
    """The loss of about one pair in this many is measured; what costs nothing extra may measure all."""
    held: "HeldRows | None" = None
    """The word vectors that stay as they are, see `hold`."""
    untrained_loss: float = math.inf
    """Of a pair, in nats, while all output vectors are 0; inf where that is not known."""

    @classmethod
    def check_device(cls, device: object) -> str:
        """Return the name of a device that the engine can train on.

        Raises:
            ArgumentError, ArgumentTypeError: it cannot.
        """
        assert device == "cpu"  # another one is a reason to take another engine
        return "cpu"

    @abstractmethod
    def __init__(self, settings: Word2VecConfig, vocabulary: Vocabulary, vectors: Floats, seed: int) -> None: ...

    @abstractmethod
    def train(self, span: Span, position: Position) -> Losses:
        """Train on the words of a span; the losses may be those of the call before, while this one still runs."""

    def finish(self) -> Losses:
        """Wait for what still runs, and return the losses that no call of `train` has returned."""
        return Losses(0, 0.0, 0)

    @property
    @abstractmethod
    def vectors(self) -> Floats:
        """(V, D), the word vectors as they are: a view where that is possible; with subwords, the words' own rows."""

    @property
    def rows(self) -> Floats:
        """The whole table of inputs: `vectors`, and with subwords the rows of n-grams behind them."""
        return self.vectors

    @property
    def parts(self) -> WordParts | None:
        """With subwords, which of `rows` words consist of; those of n-grams are also in `state`, as "ngrams"."""
        return None

    @abstractmethod
    def state(self) -> dict[str, NDArray[Any]]:
        """Everything that was learned, but for `vectors`, by name: views where possible."""

    @abstractmethod
    def load_state(self, vectors: Floats, state: Mapping[str, NDArray[Any]]) -> None:
        """Copy word vectors and what `state` gave, of an engine with the same settings and words.

        Raises:
            ValueError: an array is missing or has another dtype or shape.
        """

    @abstractmethod
    def put_vectors(self, rows: NDArray[np.int64], vectors: Floats) -> None:
        """Replace some rows of the table of inputs.

        Args:
            rows: (n,) their numbers: those of words, and with subwords V more for n-grams.
            vectors: (n, D).
        """

    def put_words(self, words: NDArray[np.int64], vectors: Any, chosen: NDArray[np.int64] | None = None) -> None:
        """Replace the vectors of some words; with subwords by their own rows, as words share those of n-grams.

        Args:
            words: (n,) the numbers of the words.
            vectors: (n, D), or (N, D) of which some are chosen; they may be mapped from a file, in half precision too.
            chosen: (n,) which of them; None for all.
        """
        vectors = (vectors if chosen is None else vectors[chosen]).astype(np.float32, copy=False)
        if self.parts is not None and len(words):
            counts = np.diff(self.parts.offsets)[words, None].astype(np.float32)
            moved = self.vectors[words] + counts * (vectors - self.words(words))
            vectors = moved.astype(np.float32, copy=False)
        self.put_vectors(words, vectors)

    def words(self, words: NDArray[np.int64]) -> Floats:
        """The vectors of some words, (n, D): with subwords the means of their rows."""
        return self.vectors[words] if self.parts is None else self.parts.chosen(words).means(self.rows)

    def hold(self, rows: NDArray[np.int64]) -> None:
        """Keep some word vectors as they are now, whatever is trained from here on.

        Plain PyTorch puts them back after every batch, which is the same as not changing them. The other engines do so
        after every `HELD_SPAN` entries of text: in between they move, and others learn from them as they are then.
        With subwords those of words that are not in that text move with the n-grams, until the end of the span.

        Args:
            rows: (n,) the numbers of the words.
        """
        self.held = HeldRows(rows, self.words(rows), len(self.vectors)) if len(rows) else None

    def put_back(self, ids: NDArray[np.integer[Any]] | None = None) -> None:
        """Put held words back, those among some ids; None for all whose vectors others can have moved, by n-grams."""
        if self.held is None or (ids is None and self.parts is None):
            return
        moved = slice(None) if ids is None else self.held.among(ids)
        self.put_words(self.held.rows[moved], self.held.vectors[moved])

    @abstractmethod
    def copy_words(self, other: "Engine", numbers: NDArray[np.int64]) -> None:
        """Copy what another engine learned for its words.

        Args:
            other: of the same class, but for the number of partitions.
            numbers: (its V,) the number that each of its words has here.
        """


class HeldRows:
    """Rows of a table that stay what they are.

    Args:
        rows: (n,) their numbers.
        vectors: (n, D) what is in them.
        size: V, of the table.

    Example:
        >>> held = HeldRows(np.array([3, 1]), np.zeros((2, 5), np.float32), 4)
        >>> held.rows[held.among(np.array([2, 3, 3, -1]))].tolist()
        [3]
    """

    def __init__(self, rows: NDArray[np.int64], vectors: Floats, size: int) -> None:
        self.rows, self.vectors = rows, vectors
        self._places = np.full(size + 1, -1, dtype=np.int64)  # the last one is that of the ends of sentences
        self._places[rows] = np.arange(len(rows))

    def among(self, ids: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """The places in `rows` of those that are among some words, -1 being none."""
        there = np.unique(self._places[ids])
        return there[there >= 0]


def in_pieces(span: Span, position: Position, reach: int) -> Iterator[tuple[Span, Position]]:
    """Cut a span into pieces of `HELD_SPAN` entries, with text on both sides of each.

    Example:
        >>> span = Span(np.zeros(40_000, np.int32), 100, 39_000)
        >>> pieces = in_pieces(span, Position(7, (0, 0, 0), 1), reach=1)
        >>> [(len(piece.ids), piece.begin, place.entry) for piece, place in pieces]
        [(16584, 100, 7), (16584, 100, 16391), (6332, 100, 32775)]
    """
    for begin in range(span.begin, span.end, HELD_SPAN):
        end = min(begin + HELD_SPAN, span.end)
        first, last = max(0, begin - AROUND * reach), min(len(span.ids), end + AROUND * reach)
        piece = Span(span.ids[first:last], begin - first, end - first)
        yield piece, position._replace(entry=position.entry + begin - span.begin)


def check_arrays(expected: Mapping[str, NDArray[Any]], given: Mapping[str, NDArray[Any]]) -> None:
    """Check that arrays have the names, dtypes and shapes of others.

    Raises:
        ValueError: one does not.

    Example:
        >>> check_arrays({"outputs": np.zeros(2)}, {"outputs": np.ones(3)})
        Traceback (most recent call last):
        ...
        ValueError: outputs: expected float64 (2,), got float64 (3,)
    """
    for name, array in expected.items():
        got = f"{given[name].dtype} {given[name].shape}" if name in given else "none"
        if got != f"{array.dtype} {array.shape}":
            raise ValueError(f"{name}: expected {array.dtype} {array.shape}, got {got}")


def load_engine(name: str, partitions: int = 1) -> type[Engine]:
    """Return the class of an engine, or what it is where its tables are cut in partitions.

    Example:
        >>> load_engine("fused").name
        'fused'
    """
    return pkgutil.resolve_name(ENGINES[name] if partitions == 1 else PARTITIONED)


def first_vectors(num_words: int, dim: int, seed: int) -> Floats:
    """Return small random vectors to start from, (V, D).

    Uniform in +-1/D, as gensim and fastText start; word2vec.c has half of it, which learns more slowly in the first
    epoch: on 17 million words of Wikipedia 12.2 % of Google's analogies are right after it, and 12.7 % with this.

    Example:
        >>> made = first_vectors(2, 4, seed=1)
        >>> made.shape, bool((abs(made) <= 1 / 4).all())
        ((2, 4), True)
    """
    return next(first_rows(num_words, dim, seed, num_words))


def first_rows(num_words: int, dim: int, seed: int, piece: int = 1 << 16) -> Iterator[Floats]:
    """Yield the rows of `first_vectors`, so many at a time.

    Example:
        >>> pieces = list(first_rows(5, 3, seed=1, piece=2))
        >>> [len(rows) for rows in pieces], bool((np.concatenate(pieces) == first_vectors(5, 3, seed=1)).all())
        ([2, 2, 1], True)
    """
    random = np.random.default_rng(seed)
    for begin in range(0, num_words, piece):
        made = random.random((min(piece, num_words - begin), dim), dtype=np.float32)
        made -= 0.5
        made *= 2 / dim
        yield made


def rows_of_buckets(parts: WordParts | None, of: WordParts | None) -> NDArray[np.int64]:
    """The row among the n-grams of `parts` of each n-gram of `of`, all of whose buckets it has.

    Example:
        >>> rows_of_buckets(None, None)
        array([], dtype=int64)
    """
    if parts is None or of is None:
        return np.zeros(0, np.int64)
    return np.searchsorted(parts.buckets, of.buckets)
