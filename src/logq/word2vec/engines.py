"""What trains word2vec: the face that all engines have, and the small table that says which there are for what."""

import importlib
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from logq.text import Vocabulary
from logq.word2vec.kernel import Losses

if TYPE_CHECKING:
    from logq.word2vec.word2vec import Word2Vec

__all__ = ["ENGINES", "FUSED", "Engine", "Losses", "Place", "Stretch", "choose", "first_vectors", "load"]

Floats: TypeAlias = NDArray[np.float32]

ENGINES = {"fused": "logq.word2vec.fused_engine", "plain": "logq.word2vec.plain_engine"}
"""The engines and their modules, each with a class Engine. Only `plain` needs torch."""

FUSED = {
    ("skip_gram", "negative_sampling", "unigram"),
    ("skip_gram", "hierarchical_softmax", None),
    ("cbow", "negative_sampling", "unigram"),
    ("cbow", "hierarchical_softmax", None),
}
"""(model, objective, sampler) for which there is a fused kernel. Everything else runs on plain PyTorch."""


class Place(NamedTuple):
    """Where in a training a stretch of text lies.

    Args:
        position: entry of the encoded corpus.
        rate: (start, slope, floor) of this pass: the learning rate at entry p is max(floor, start - slope p).
        seed: of everything random in this pass.
    """

    position: int
    rate: tuple[float, float, float]
    seed: int


class Stretch(NamedTuple):
    """A part of an encoded corpus: words to predict, with some text on both sides.

    Args:
        ids: words, and -1 where sentences end.
        begin: the first word to predict.
        end: behind the last.
    """

    ids: NDArray[np.int32]
    begin: int
    end: int


class Engine(ABC):
    """Tables of vectors, and how to train them on a stretch of text.

    Args:
        model: whose settings hold.
        vocabulary: V words.
        vectors: (V, D) to start from; taken over, not necessarily copied.
        seed: of what is random at the start.
    """

    name: ClassVar[str]
    stretch: ClassVar[int]
    """The most entries that are trained in one call."""
    reach: int = 0
    """How far the engine looks at text outside of a stretch, in words."""
    untrained_loss: float = math.inf
    """Of a pair, in nats, while all output vectors are 0; inf where that is not known."""

    @classmethod
    def device_named(cls, device: object) -> str:
        """Return the name of a device that the engine can train on.

        Raises:
            TypeError, ValueError: it cannot.
        """
        raise ValueError(f"device: expected 'cpu', got {device!r}")

    @abstractmethod
    def __init__(self, model: "Word2Vec", vocabulary: Vocabulary, vectors: Floats, seed: int) -> None: ...

    @abstractmethod
    def train(self, stretch: Stretch, place: Place) -> Losses:
        """Train on the words of a stretch."""

    @property
    @abstractmethod
    def vectors(self) -> Floats:
        """(V, D), the word vectors as they are: a view where that is possible."""

    @abstractmethod
    def state(self) -> dict[str, NDArray[Any]]:
        """Everything that was learned, but for `vectors`, by name: views where possible."""

    @abstractmethod
    def load_state(self, vectors: Floats, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over word vectors and what `state` gave, of an engine with the same settings and words.

        Raises:
            ValueError: an array is missing or has another shape.
        """

    @abstractmethod
    def grow(self, other: "Engine", known: NDArray[np.int64]) -> None:
        """Take over what another engine learned for some words.

        Args:
            other: of the same kind.
            known: (its V,) the number that each of its words has here.
        """


def choose(model: "Word2Vec") -> tuple[str, str]:
    """Return the name of the engine that trains a model, and why it is not the fused one, or "".

    Raises:
        ValueError: the fused engine was asked for and cannot train this; the message says why.
    """
    reason = _not_fused(model)
    if model.engine == "fused" and reason:
        raise ValueError(f"engine: expected 'auto' or 'plain', there is no fused kernel for {reason}")
    return ("plain", reason) if model.engine == "plain" or reason else ("fused", "")


def _not_fused(model: "Word2Vec") -> str:
    sampler = model.sampler if isinstance(model.sampler, str | None) else "a sampler of your own"
    if (model.kind, model.objective, sampler) not in FUSED:
        return " with ".join(str(part) for part in (model.objective, sampler) if part)
    if model.device != "cpu":
        return f"the device {model.device}"
    return "batches" if model.batch_size is not None else ""


def load(name: str) -> type[Engine]:
    """Return the class of an engine."""
    return importlib.import_module(ENGINES[name]).Engine


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
