"""LearnedWords: what a Word2Vec has learned: its vectors, and the files that keep them or the whole model."""

import math
import os
from collections.abc import Collection, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, Verbatim, check_int
from logq._launch import launched
from logq.estimators import Family
from logq.huffman import HuffmanTree
from logq.text import Vocabulary
from logq.text.words import check_strings
from logq.training.estimator import SavedEstimator, prefixed, with_prefix
from logq.vectors import KeyedVectors
from logq.vectors.fasttext_files import write_fasttext
from logq.vectors.gensim_names import with_gensim_arguments
from logq.vectors.nearest_words import highest
from logq.vectors.subwords import Subwords, mean_rows
from logq.vectors.vector_arguments import read_only
from logq.vectors.vector_files import write_safetensors
from logq.word2vec.engines import Engine, load_engine
from logq.word2vec.predictions import class_log_prob, paths_log_prob, sentence_score
from logq.word2vec.word2vec_config import Word2VecConfig

__all__ = ["LearnedWords"]

PROGRESS = ("epochs_done", "words_trained", "mean_loss", "encoding_seconds", "training_seconds")
TEXT = ("invalid_lines", "long_words")
_OUTPUTS = ("outputs", "weight")  # what the compiled engine and plain PyTorch call the second table


class LearnedWords(Word2VecConfig, SavedEstimator):
    """Two tables of vectors and the words that they are of, which `fit` of a subclass makes.

    Example:
        See logq.Word2Vec, which is one.
    """

    family: ClassVar[Family] = "word vectors"

    vocabulary: Vocabulary
    mean_loss: float
    invalid_lines = 0
    long_words = 0
    encoding_seconds = 0.0
    training_seconds = 0.0
    words_trained = 0
    epochs_done = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.device != "cpu":
            self.device = load_engine(self.engine_name).check_device(self.device)
        self._engine: Engine | None = None

    @property
    def is_fitted(self) -> bool:
        """Whether `fit` or `load` has succeeded, or `fit` is running."""
        return self._engine is not None

    def _fitted_on(self) -> str:
        return f"{len(self.vocabulary)} words"

    def _fitted_engine(self) -> Engine:
        self._check_fitted()
        assert self._engine is not None
        return self._engine

    # ---------------------------------------------------------------------------------------------------------- vectors

    @property
    def vectors(self) -> KeyedVectors:
        """The word vectors as they are now, with their words and counts: a copy.

        Raises:
            AttributeError: the model is not fitted.
        """
        engine, subwords = self._fitted_engine(), None
        if engine.parts is not None:
            assert self.ngrams is not None
            ngrams = read_only(np.array(engine.state()["ngrams"]))
            subwords = Subwords(self.ngrams, ngrams, engine.parts.buckets)
        words, counts = self.vocabulary.index_to_key, self.vocabulary.counts
        table = np.array(engine.vectors) if engine.parts is None else self._of_words()
        vectors = KeyedVectors(words, read_only(table), counts, copy=False, subwords=subwords)
        vectors.info = {**self.settings(), "origin": dict(self.origin)}
        return vectors

    def _of_words(self, ids: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """The vectors of some words, or of all (V, D), as means where they consist of several rows."""
        engine = self._fitted_engine()
        if engine.parts is None:
            return engine.vectors if ids is None else engine.vectors[ids]
        parts = engine.parts if ids is None else engine.parts.chosen(ids)
        return mean_rows(engine.rows, parts.offsets, parts.rows)

    @property
    def output_vectors(self) -> NDArray[np.float32]:
        """(V, D), the vectors that words are predicted by, a copy; their order is that of `vocabulary`.

        The logit of a word beside another is <vector of one, output vector of the other>.

        Raises:
            AttributeError: the model is not fitted.
            ValueError: hierarchical softmax has vectors of inner nodes, none of words.
        """
        engine = self._fitted_engine()
        if self.hs:
            raise ValueError("output_vectors: hierarchical softmax has vectors of inner nodes, none of words")
        return np.array(outputs_of(engine))

    @property
    def summed_vectors(self) -> KeyedVectors:
        """The sums of the word vectors and the output vectors of the same words, with their words and counts.

        They compare words also by what they stand beside, as GloVe's do; what that is worth is in docs/migration.md.
        Words that were not in the text have none, also with `subwords`: nothing is predicted by an n-gram.

        Raises:
            AttributeError: the model is not fitted.
            ValueError: hierarchical softmax has no output vectors of words.
        """
        made = self.output_vectors
        made += self._of_words()
        vectors = KeyedVectors(self.vocabulary.index_to_key, read_only(made), self.vocabulary.counts, copy=False)
        vectors.info = {**self.settings(), "origin": dict(self.origin), "summed": True}
        return vectors

    # ------------------------------------------------------------------------------------------------------ predictions

    def predict_output_word(self, context_words_list: Iterable[str], topn: int = 10) -> list[tuple[str, float]]:
        """Return the words that are most probable among others, and their probabilities.

        For hierarchical softmax they are those of the model. Otherwise they are the softmax over the logits, as in
        gensim; what negative sampling learns is nearer to log P(w | context) / Q(w), so rare words are too probable.

        Args:
            context_words_list: the words around, of which those without a vector are left out.
            topn: how many.

        Raises:
            AttributeError: the model is not fitted.
            ArgumentError: no word of the context has a vector, where gensim returns None.

        Example:
            >>> from logq import Word2Vec
            >>> text = [["the", "cat", "sat"], ["a", "dog", "ran"]] * 300
            >>> model = Word2Vec(dim=8, min_count=1, sample=0, seed=1).fit(text, progress=False)
            >>> sorted(word for word, _ in model.predict_output_word(["the"], topn=2))
            ['cat', 'sat']
        """
        engine = self._fitted_engine()
        listed = check_strings("context_words_list", context_words_list)
        ids, composed = self.vocabulary.encode(listed), self._composed(listed)
        if not (len(ids) or composed):
            got = Verbatim(f"none of {len(listed)}")
            raise ArgumentError("context_words_list", "at least one word with a vector", got)
        around = np.array([*composed, *(self._of_words(ids) if len(ids) else ())])
        query = around.astype(np.float64).sum(axis=0)
        if self.cbow_mean:
            query /= len(around)
        outputs = np.asarray(outputs_of(engine))
        log_prob = paths_log_prob(query, outputs, self._tree()) if self.hs else class_log_prob(query, outputs)
        best = highest(log_prob.astype(np.float32), check_int("topn", topn, 0))
        return [(self.vocabulary.index_to_key[word], float(np.exp(log_prob[word]))) for word in best]

    @with_gensim_arguments(total_sentences="leave it out", chunksize="leave it out", queue_factor="leave it out")
    def score(self, sentences: Iterable[Iterable[str]]) -> NDArray[np.float64]:
        """Return the log-probabilities of sentences, (n,), under a model of hierarchical softmax.

        Each word is predicted from those at most `window` away: skip-gram adds up all pairs, CBOW all words. Words
        without a vector are left out. To rank classes by it, train a model on the texts of each (Taddy 2015).

        Equivalent to: gensim.models.Word2Vec.score, which rounds logits and leaves out those beyond 6.

        Raises:
            AttributeError: the model is not fitted.
            ArgumentError: it was trained with negatives, which do not make it probabilities.

        References:
            Taddy, Document Classification by Inversion of Distributed Language Representations, ACL 2015.

        Example:
            >>> from logq import Word2Vec
            >>> text = [["the", "cat", "sat"], ["a", "dog", "ran"]] * 300
            >>> model = Word2Vec(dim=8, min_count=1, sample=0, hs=True, seed=1).fit(text, progress=False)
            >>> known, mixed = model.score([["the", "cat", "sat"], ["the", "dog", "sat"]])
            >>> bool(known > mixed)
            True
        """
        engine = self._fitted_engine()
        if not self.hs:
            raise ArgumentError("hs", "True for a model that scores sentences", False)
        tree, tables = self._tree(), (self._of_words(), outputs_of(engine))
        options: dict[str, Any] = {"window": self.window, "skip_gram": self.sg, "mean": self.cbow_mean}
        listed = [check_strings("sentences", sentence) for sentence in sentences]
        return np.array([sentence_score(words, self.vocabulary, *tables, tree, **options) for words in listed])

    def _composed(self, words: Iterable[str]) -> list[NDArray[np.float32]]:
        """The vectors of words that were not in the text, by their n-grams."""
        engine = self._fitted_engine()
        if engine.parts is None or self.ngrams is None:
            return []
        subwords = Subwords(self.ngrams, engine.state()["ngrams"], engine.parts.buckets)
        return subwords.vectors_of(word for word in words if word not in self.vocabulary)

    def _tree(self) -> HuffmanTree:
        return HuffmanTree.from_counts(self.vocabulary.counts)

    # ------------------------------------------------------------------------------------------------------------ files

    def save_vectors(self, folder: str | os.PathLike[str]) -> None:
        """Write what `vectors.save` would, without a copy of the vectors; the summary also tells how training went.

        They answer questions, but cannot go on learning as what `save` writes can. Of several processes that torchrun
        has started, which have the same vectors, only the first one writes.

        Args:
            folder: where `vectors.safetensors` and `vectors.json` go; made if it is missing.

        Raises:
            AttributeError: the model is not fitted.
            ValueError: a word has no UTF-8 form.
            OSError: a file cannot be written.
        """
        engine = self._fitted_engine()
        if not launched().is_first:
            return
        info = {**self.settings(), **self._progress(), "origin": dict(self.origin)}
        if engine.parts is None:
            write_safetensors(folder, self.vocabulary.index_to_key, engine.vectors, self.vocabulary.counts, info)
        else:
            self.vectors.save(folder, info)

    def save_fasttext(self, path: str | os.PathLike[str]) -> None:
        """Write a model that fastText and gensim read, .bin, with the vectors of words, n-grams and outputs.

        Hierarchical softmax leaves zeros for outputs, as its tree is another there. Every bucket has a row in the file.
        Of several processes that torchrun has started, only the first one writes.

        Args:
            path: the file to write.

        Raises:
            AttributeError: the model is not fitted.
            ArgumentError: a word has a character 0 in it, or no UTF-8 form.
            OSError: the file cannot be written.
        """
        self._check_fitted()
        if not launched().is_first:
            return
        vectors = self.vectors
        outputs = None if self.hs else self.output_vectors
        arguments = {"ws": self.window, "epoch": self.epochs, "minCount": self.min_count, "neg": self.num_sampled}
        arguments |= {"loss": 1 if self.hs else 2, "model": 2 if self.sg else 1, "t": self.sample}
        write_fasttext(
            path,
            vectors.index_to_key,
            vectors.counts,
            vectors.vectors,
            vectors.subwords,
            outputs=outputs,
            arguments=arguments,
        )

    def _shown_on_card(self) -> tuple[Mapping[str, int], str, int | None]:
        sizes = {"words": len(self.vocabulary), "dimensions": self.dim}
        return sizes, f"print(model.vectors.most_similar({self.vocabulary.index_to_key[0]!r}))", None

    def _progress(self) -> dict[str, Any]:
        found = {name: getattr(self, name) for name in (*PROGRESS, *TEXT)}
        loss = getattr(self, "mean_loss", math.nan)
        return {**found, "mean_loss": None if math.isnan(loss) else loss}  # JSON has no NaN

    def state(self) -> dict[str, NDArray[Any]]:
        """Both tables, and what else the engine has learned; views where possible."""
        engine = self._fitted_engine()
        return {"vectors": engine.vectors, **prefixed("engine", engine.state())}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore what `state` returned, also where another engine had learned it that has tables of the same kind."""
        vectors, learned = state["vectors"], dict(with_prefix("engine", state))
        expected = (len(self.vocabulary), self.dim)
        if vectors.dtype != np.float32 or vectors.shape != expected:
            raise ValueError(f"expected 'vectors' float32 {expected}, got {vectors.dtype} {vectors.shape}")
        engine = load_engine(self.engine_name, self.partitions)(self, self.vocabulary, vectors, 0)
        own = engine.state()
        for here, there in (_OUTPUTS, _OUTPUTS[::-1]):
            if here in own and there in learned:  # of what only the other engine has nothing is kept
                learned = {**own, here: learned[there]}
        engine.load_state(vectors, learned)
        self._engine = engine

    def _saved_settings(self) -> dict[str, Any]:
        # Opened on a CPU, as all estimators are unless told otherwise, with the engine that trains there.
        return {**self.settings(), "engine": "plain" if self.engine == "plain" else "auto", "device": "cpu"}

    def _kept(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        about = {"words": len(self.vocabulary), "raw_words": self.vocabulary.raw_words}
        return {**about, "progress": self._progress()}, self.vocabulary.arrays()

    @classmethod
    def _left_in_file(cls, info: Mapping[str, Any]) -> Collection[str]:
        settings = info.get("settings")  # of which a damaged file may have none
        in_parts = isinstance(settings, dict) and settings.get("partitions", 1) != 1
        return ("learned/vectors", f"learned/engine/{_OUTPUTS[0]}") if in_parts else ()

    def _take_back(self, info: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> None:
        self.vocabulary = Vocabulary.from_arrays(tensors, raw_words=int(info["raw_words"]))
        progress = info["progress"]
        for name in (*PROGRESS, *TEXT):
            number = math.nan if progress[name] is None else progress[name]
            if isinstance(number, bool) or not isinstance(number, int | float) or number < 0:
                raise ValueError(f"expected a number >= 0 for {name!r}, got {number!r:.40}")
            setattr(self, name, number)


def outputs_of(engine: Engine) -> NDArray[np.float32]:
    """Return the second table of an engine, of words or inner nodes: a view where possible."""
    state = engine.state()
    return state[_OUTPUTS[0]] if _OUTPUTS[0] in state else state[_OUTPUTS[1]]
