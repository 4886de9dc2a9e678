"""What a fit of word2vec does otherwise if several processes make it together; here for one, which needs no torch."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

from logq.text import EncodedCorpus
from logq.training.checkpoint import RunCheckpoint
from logq.word2vec.corpus_run import CorpusRun
from logq.word2vec.engines import Engine
from logq.word2vec.starting_vectors import StartingVectors
from logq.word2vec.training_text import WordRules, training_text
from logq.word2vec.word2vec_config import Word2VecConfig

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from logq.text import Vocabulary

__all__ = ["FitAlone"]

T = TypeVar("T")


class FitAlone:
    """The steps of a fit in one process.

    Args:
        settings: of the fit.

    Example:
        See logq.Word2Vec, which makes one for each `fit`.
    """

    not_restored = ""
    """What keeps the last epoch instead of the best one that a callback chose; "" where nothing does."""

    def __init__(self, settings: Word2VecConfig) -> None:
        self.settings = settings

    def text(
        self, source: Any, *, known: "Vocabulary | None", rules: WordRules, **reading: Any
    ) -> AbstractContextManager[EncodedCorpus]:
        """A context with the encoded text; see training_text."""
        return training_text(source, self.settings, known=known, rules=rules, **reading)

    def goes_on_from(self, learned: "Mapping[str, NDArray[Any]]") -> None:
        """Called with what a model has learned that goes on, and with nothing for one that begins."""

    def starts_from(self, start: StartingVectors) -> None:
        """Called with what was given to start from."""

    def checkpoint(self, one: RunCheckpoint, data: str) -> RunCheckpoint:
        """The checkpoint of a run on data with this fingerprint."""
        return one

    def seed(self, own: int) -> int:
        """The seed of the run."""
        return own

    def run(self, corpus: EncodedCorpus, engine: Engine, seed: int) -> CorpusRun:
        """What trains the engine."""
        assert self.settings.lr is not None
        return CorpusRun(corpus, engine, epochs=self.settings.epochs, lr=self.settings.lr, seed=seed)

    def ends(self, stops: bool) -> bool:
        """Whether training ends, where it is to in this process."""
        return stops

    def ends_within(self, stops: bool) -> bool:
        """Whether it ends within an epoch."""
        return stops

    def call(self, action: Callable[[], T]) -> T:
        """What an action returns that makes no exchanges."""
        return action()
