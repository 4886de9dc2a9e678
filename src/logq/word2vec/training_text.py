"""The text that a fit reads: encoded, with new words where a model continues learning."""

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from typing_extensions import Self

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_bool
from logq._machine import available_cores
from logq.text import EncodedCorpus, Vocabulary, count_words, encode
from logq.text.recoding import can_be_read_again, recode
from logq.word2vec.word2vec_config import Word2VecConfig

__all__ = ["Keep", "WordRules", "grown_vocabulary", "training_text"]

Keep: TypeAlias = Callable[[str, int], bool | None]


@dataclass(frozen=True)
class WordRules:
    """Which words of a text are learned, beside `min_count` and `max_vocab`; see Word2Vec.fit.

    Args:
        new_words: whether words of the text are added to those known.
        vocabulary: the words, and no others; or the file of one.
        keep: what becomes of a word, by it and its count.

    Raises:
        ArgumentError, ArgumentTypeError: an argument is not as described, or two of them exclude each other.

    Example:
        >>> WordRules(keep=lambda word, count: word.isalpha() or None).chosen([("a", 1), ("7", 9)], min_count=5)
        [('a', 1), ('7', 9)]
    """

    new_words: bool = True
    vocabulary: Vocabulary | None = None
    keep: Keep | None = None

    @classmethod
    def checked(cls, new_words: bool, vocabulary: Any, keep: Any, *, is_fitted: bool, is_encoded: bool) -> Self:
        """Check what `fit` was given.

        Args:
            new_words: of fit.
            vocabulary: of fit.
            keep: of fit.
            is_fitted: whether a model goes on.
            is_encoded: whether the text is an EncodedCorpus.
        """
        if isinstance(vocabulary, str | os.PathLike):
            vocabulary = Vocabulary.load(vocabulary)
        if vocabulary is not None and not isinstance(vocabulary, Vocabulary):
            raise ArgumentTypeError("vocabulary", "a Vocabulary, or a path to one", vocabulary)
        rule: Keep | None = keep
        if rule is not None and not callable(rule):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ArgumentTypeError("keep", "a function of a word and its count", keep)
        for name, value in (("vocabulary", vocabulary), ("keep", keep)):
            if value is not None and is_encoded:
                raise ArgumentError(name, "None for a corpus that is encoded already", value)
        if vocabulary is not None and is_fitted:
            hint = "it keeps its words; keep= chooses among new ones"
            raise ArgumentError("vocabulary", "None for a model that goes on", vocabulary, hint)
        if vocabulary is not None and keep is not None:
            raise ArgumentError("keep", "None where a vocabulary is given", keep)
        return cls(check_bool("new_words", new_words), vocabulary, rule)

    def chosen(
        self, counted: Iterable[tuple[str, int]], min_count: int, most: int | None = None
    ) -> list[tuple[str, int]]:
        """The words that are learned, of those of a text with their counts, most frequent first.

        Args:
            counted: words and counts, in this order.
            min_count: of words that `keep` says nothing of.
            most: how many, those that `keep` keeps first; of these all are learned, also where they are more.
        """
        if self.keep is None:
            return [(word, count) for word, count in counted if count >= min_count][:most]
        chosen: list[tuple[str, int]] = []
        asked_for: list[bool] = []
        for word, count in counted:
            keeps = self.keep(word, count)
            if keeps is not None and not isinstance(keeps, bool | np.bool_):
                got = Verbatim(f"{keeps!r:.40} for {word!r}")
                raise ArgumentTypeError("keep", "a function that returns True, False or None", got)
            if (count >= min_count) if keeps is None else keeps:
                chosen.append((word, count))
                asked_for.append(bool(keeps))
        if most is None:
            return chosen
        room = most - sum(asked_for)
        others = np.cumsum(np.logical_not(asked_for))
        return [one for one, asked, place in zip(chosen, asked_for, others, strict=True) if asked or place <= room]


def training_text(
    source: str | os.PathLike[str] | Iterable[Any] | EncodedCorpus,
    settings: Word2VecConfig,
    *,
    known: Vocabulary | None = None,
    rules: WordRules | None = None,
    encoding: str | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> AbstractContextManager[EncodedCorpus]:
    """Return a context with the encoded text, which is closed at its end unless `source` was encoded already.

    Args:
        source: see Word2Vec.fit.
        settings: of which min_count and max_vocab are used.
        known: the words of a model that continues learning; None for a new one.
        rules: which words are learned beside.
        encoding: of the files; None recognizes it.
        cache: a folder for the encoded text, see logq.text.encode.
        progress: whether it is shown.

    Raises:
        OSError, ArgumentTypeError: the text cannot be read, or is none.
        ArgumentError: there are no words in it, none that occurs min_count times or is kept, or none but known ones
            can be learned and `new_words` asks for others.

    Example:
        >>> with training_text([["a", "rose"]], Word2VecConfig(min_count=1)) as corpus:
        ...     corpus.vocabulary.index_to_key
        ['a', 'rose']
    """
    if isinstance(source, EncodedCorpus):
        if known is not None and source.vocabulary.index_to_key != known.index_to_key:
            raise ArgumentError(
                "source", "an encoded corpus of the words that the model has learned", Verbatim("one of other words")
            )
        return nullcontext(source)
    options: dict[str, Any] = {"encoding": encoding, "cache": cache, "threads": available_cores(), "progress": progress}
    rules = rules or WordRules()
    fixed = known if known is not None and not rules.new_words else rules.vocabulary
    if fixed is not None:
        return closing(encode(source, vocabulary=fixed, **options))
    if known is None and rules.keep is None:
        return closing(encode(source, min_count=settings.min_count, max_vocab=settings.max_vocab, **options))
    if known is not None and settings.hs:
        raise ArgumentError("new_words", "False", True, "the tree of hierarchical softmax cannot grow")
    limits: dict[str, Any] = {"min_count": settings.min_count, "max_vocab": settings.max_vocab, "rules": rules}
    if not can_be_read_again(source):
        with closing(encode(source, min_count=1, **options)) as read:
            return closing(recode(read, grown_vocabulary(known, read.vocabulary, **limits), cache))
    counting = {name: value for name, value in options.items() if name != "cache"}
    if known is not None and rules.keep is None:
        return closing(_encode_grown(source, known, limits, counting, options))
    counted = count_words(source, min_count=1, **counting).vocabulary
    return closing(encode(source, vocabulary=grown_vocabulary(known, counted, **limits), **options))


def _encode_grown(
    source: Any, known: Vocabulary, limits: dict[str, Any], counting: dict[str, Any], options: dict[str, Any]
) -> EncodedCorpus:
    """Encode with known and new words, of which only those that may be added are in memory while they are counted."""
    cuts = {name: limits[name] for name in ("min_count", "max_vocab")}  # as many as that, of which some may be known
    try:
        frequent = count_words(source, **cuts, **counting).vocabulary
    except ArgumentError as error:
        if error.name != "min_count":  # no word is so frequent
            raise
        frequent = known
    words = grown_vocabulary(known, frequent, **limits)
    corpus = encode(source, vocabulary=words, **options)
    counts = corpus.counts.copy()
    counts[: len(known)] += known.counts
    raw_words = known.raw_words + corpus.raw_words
    corpus.vocabulary = Vocabulary(words.index_to_key, counts, raw_words=raw_words)
    return corpus


def grown_vocabulary(
    known: Vocabulary | None,
    new: Vocabulary,
    *,
    min_count: int,
    max_vocab: int | None = None,
    rules: WordRules | None = None,
) -> Vocabulary:
    """Return the known words in their order, and then those of a new text, with the counts of both added up.

    Every known word stays, however rare it is. New words are in the order of their frequency.

    Args:
        known: the words so far; None for a model that has learned nothing.
        new: all words of the new text, most frequent first.
        min_count: minimum count there of an unknown word that is added.
        max_vocab: maximum number of words in all, unless more are known.
        rules: which unknown words are added beside.

    Raises:
        ArgumentError: there are none.

    Example:
        >>> grown = grown_vocabulary(Vocabulary(["a", "b"], [4, 3]), Vocabulary(["b", "c"], [2, 1]), min_count=1)
        >>> grown.index_to_key, grown.counts.tolist()
        (['a', 'b', 'c'], [4, 5, 1])
    """
    before = [] if known is None else zip(known.index_to_key, known.counts.tolist(), strict=True)
    counts = dict(before)
    of_text = dict(zip(new.index_to_key, new.counts.tolist(), strict=True))
    unknown = [(word, count) for word, count in of_text.items() if word not in counts]
    room = None if max_vocab is None else max(0, max_vocab - len(counts))
    added = (rules or WordRules()).chosen(unknown, min_count, room)
    for word in counts:
        counts[word] += of_text.get(word, 0)
    counts.update(added)
    if not counts:
        raise ArgumentError("keep", "a function that keeps some words", Verbatim(f"none of {len(new):,} kept"))
    raw_words = new.raw_words + (0 if known is None else known.raw_words)
    return Vocabulary(list(counts), list(counts.values()), raw_words=raw_words)
