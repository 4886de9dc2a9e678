"""A fit of word2vec that several processes make together, each a replica on its share of the text."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing
from typing import Any, TypeVar

from numpy.typing import NDArray

from logq._arguments import ArgumentError, Verbatim
from logq._machine import available_cores
from logq._model_file import digest_of
from logq.process_start import all_or_none, check_same, join
from logq.text import EncodedCorpus, Vocabulary
from logq.training.checkpoint import RunCheckpoint, fingerprint
from logq.training.devices import Device
from logq.training.joint_checkpoint import JointCheckpoint
from logq.word2vec.corpus_run import CorpusRun
from logq.word2vec.engines import AROUND, Engine
from logq.word2vec.fit_alone import FitAlone
from logq.word2vec.joint_partitioned_run import JointPartitionedRun
from logq.word2vec.joint_run import JointRun
from logq.word2vec.joint_text import count_together, encode_together
from logq.word2vec.partitioned_engine import PartitionedEngine
from logq.word2vec.starting_vectors import StartingVectors
from logq.word2vec.training_text import WordRules, grown_vocabulary, training_text
from logq.word2vec.word2vec_config import Word2VecConfig

__all__ = ["FitTogether"]

T = TypeVar("T")

_ALL = 1 << 62
"""Entries around a share of the text: all there are."""


class FitTogether(FitAlone):
    """The steps of a fit in several processes, all of which take them at once.

    Args:
        settings: of the fit, the same in all processes.

    Raises:
        ArgumentError: the engine is not the compiled one.
        LostProcessError: the others do not come.

    Example:
        See logq.Word2Vec, which makes one for each `fit` under torchrun.
    """

    not_restored = "several processes"

    def __init__(self, settings: Word2VecConfig) -> None:
        super().__init__(settings)
        if settings.engine_name != "fused":
            why = f", which has no kernel for {settings.why_not_fused}" if settings.why_not_fused else ""
            expected = f"the compiled engine where several processes train{why}"
            raise ArgumentError("engine", expected, settings.engine_name, "start it without torchrun")
        join()
        self._device = Device()
        self._goes_on = False

    def text(
        self, source: Any, *, known: Vocabulary | None, rules: WordRules, **reading: Any
    ) -> AbstractContextManager[EncodedCorpus]:
        """A context with the part of the text that this process needs, encoded by all of them.

        Raises:
            ArgumentError: the text is to be cached, or processes know or keep other words.
            OSError, ValueError: see encode_together.
        """
        self._goes_on = known is not None
        if isinstance(source, EncodedCorpus):
            return training_text(source, self.settings, known=known, rules=rules)
        if reading.pop("cache") is not None:
            hint = "each process keeps its part of the text in a private file"
            raise ArgumentError("cache", "None where several processes train", Verbatim("a folder"), hint)
        reading["threads"] = available_cores()
        cuts: dict[str, Any] = {"min_count": self.settings.min_count, "max_vocab": self.settings.max_vocab}
        fixed = known if known is not None and not rules.new_words else rules.vocabulary
        if fixed is None and (known is not None or rules.keep is not None):
            if known is not None and self.settings.hs:
                raise ArgumentError("new_words", "False", True, "the tree of hierarchical softmax cannot grow")
            if isinstance(source, Iterator):
                raise ArgumentError("source", "files, or lists that can be read twice", Verbatim("an iterator"))
            counted = count_together(source, **reading)
            fixed = all_or_none(lambda: grown_vocabulary(known, counted, rules=rules, **cuts))
        if fixed is not None:
            check_same({"vocabulary": fingerprint(fixed.index_to_key, fixed.counts)})
        around = AROUND * self.settings.window if self.settings.partitions == 1 else _ALL
        return closing(encode_together(source, **cuts, vocabulary=fixed, **reading, around=around))

    def goes_on_from(self, learned: Mapping[str, NDArray[Any]]) -> None:
        """Check that the model that goes on is the same in all processes, or none in all of them.

        Raises:
            ArgumentError: it is not.
        """
        check_same({f"model ({name})": digest_of(array) for name, array in sorted(learned.items())})

    def starts_from(self, start: StartingVectors) -> None:
        """Check that all processes start from the same.

        Raises:
            ArgumentError: they do not.
        """
        check_same({"initial": start.fingerprint() if start.is_given else ""})

    def checkpoint(self, one: RunCheckpoint, data: str) -> RunCheckpoint:
        """The checkpoint of all processes, of which as many as saved it go on from it.

        Raises:
            ArgumentError: they do not train the same.
        """
        check_same({"source": data, **self.settings.settings()})
        one.settings["processes"] = self._device.world.size
        return JointCheckpoint.of(one, self._device)

    def seed(self, own: int) -> int:
        """The seed of the first process."""
        return self._device.agreed(own)

    def run(self, corpus: EncodedCorpus, engine: Engine, seed: int) -> CorpusRun:
        """What trains the replica of this process, or its parts."""
        if isinstance(engine, PartitionedEngine):
            return JointPartitionedRun(corpus, engine, self.settings, seed)
        return JointRun(corpus, engine, self.settings, seed, goes_on=self._goes_on)

    def ends(self, stops: bool) -> bool:
        """Whether training ends: where it is to in the first process."""
        return bool(self._device.agreed(int(stops)))

    def ends_within(self, stops: bool) -> bool:
        """Never: all processes go on to the end of the epoch."""
        return False

    def call(self, action: Callable[[], T]) -> T:
        """What an action returns that makes no exchanges; what it raises in one process, all of them raise."""
        return all_or_none(action)
