"""Engine: what trains word2vec, the interface of all engines; and the table that says where they are."""

import importlib
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from logq.text import Vocabulary
from logq.word2vec.kernel import Losses
from logq.word2vec.word2vec_config import Word2VecConfig
from logq.word2vec.word_parts import WordParts

__all__ = ["ENGINES", "Engine", "Position", "Span", "check_arrays", "first_vectors", "load_engine", "rows_of_buckets"]

Floats: TypeAlias = NDArray[np.float32]

ENGINES = {
    "fused": "logq.word2vec.fused_engine.FusedEngine",
    "triton": "logq.word2vec.triton_engine.TritonEngine",
    "plain": "logq.word2vec.plain_engine.PlainEngine",
}
"""The engines by name. Only `fused` does without torch."""


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
    reach: int = 0
    """How far the engine looks at text outside of a span, in words."""
    loss_every: int = 1
    """The loss of about one pair in this many is measured; what costs nothing extra may measure all."""
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
    def parts(self) -> WordParts | None:
        """With subwords, the rows that words consist of; those of n-grams are in `state`, as "ngrams"."""
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
    def copy_words(self, other: "Engine", numbers: NDArray[np.int64]) -> None:
        """Copy what another engine learned for its words.

        Args:
            other: of the same class.
            numbers: (its V,) the number that each of its words has here.
        """


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


def load_engine(name: str) -> type[Engine]:
    """Return the class of an engine.

    Example:
        >>> load_engine("fused").name
        'fused'
    """
    module, _, of_class = ENGINES[name].rpartition(".")
    return getattr(importlib.import_module(module), of_class)


def first_vectors(num_words: int, dim: int, seed: int) -> Floats:
    """Return small random vectors to start from, (V, D).

    Uniform in +-1/D, as gensim and fastText start; word2vec.c has half of it, which learns more slowly in the first
    epoch: on 17 million words of Wikipedia 12.2 % of Google's analogies are right after it, and 12.7 % with this.

    Example:
        >>> made = first_vectors(2, 4, seed=1)
        >>> made.shape, bool((abs(made) <= 1 / 4).all())
        ((2, 4), True)
    """
    made = np.random.default_rng(seed).random((num_words, dim), dtype=np.float32)
    made -= 0.5
    made *= 2 / dim
    return made


def rows_of_buckets(parts: WordParts | None, of: WordParts | None) -> NDArray[np.int64]:
    """The row among the n-grams of `parts` of each n-gram of `of`, all of whose buckets it has.

    Example:
        >>> rows_of_buckets(None, None)
        array([], dtype=int64)
    """
    if parts is None or of is None:
        return np.zeros(0, np.int64)
    return np.searchsorted(parts.buckets, of.buckets)
