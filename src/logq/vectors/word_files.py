"""WordFiles: words with their vectors, read and written in the formats that are known."""

import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray
from typing_extensions import Self

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_bool, shown
from logq.hub.model_cards import Card, CardFacts, SettingShown, check_card, write_card
from logq.hub.published import Published
from logq.vectors import vector_files
from logq.vectors.exchange_formats import Duplicates, Errors, ReadingOptions, read_vectors, write_word2vec_format
from logq.vectors.fasttext_files import is_fasttext, read_fasttext, write_fasttext
from logq.vectors.gensim_names import with_gensim_arguments
from logq.vectors.mapped_tensor import ScaledRows
from logq.vectors.subwords import Subwords
from logq.vectors.vector_arguments import Vectors
from logq.vectors.word_queries import WordQueries

__all__ = ["WordFiles"]

_GENSIM_HINTS = {
    "unicode_errors": "it is called errors here",
    "datatype": "it is called dtype here",
    "no_header": "leave it out: a file with a first line 'V D' and one without are told apart",
    "fvocab": "give the counts to KeyedVectors(keys, vectors, counts)",
    "binary_chunk_size": "leave it out",
}


class WordFiles(Published, WordQueries):
    """How a `KeyedVectors` is saved and loaded."""

    counts: NDArray[np.int64] | None
    info: dict[str, Any]

    @classmethod
    @abstractmethod
    def _from_file(
        cls,
        path: str | os.PathLike[str],
        words: Sequence[str],
        vectors: Vectors | ScaledRows,
        counts: NDArray[np.int64] | None,
        subwords: Subwords | None = None,
        lengths: NDArray[np.float64] | None = None,
    ) -> Self:
        """Make one of what a file held, whose errors name the file."""

    def save(
        self,
        folder: str | os.PathLike[str],
        info: Mapping[str, Any] | None = None,
        *,
        dtype: Literal["float32", "float16", "int8"] | None = None,
        card: bool | Card = False,
    ) -> None:
        """Write `vectors.safetensors`, which holds everything, and the summary `vectors.json` into a folder.

        The folder is created if it is missing. Each file is replaced atomically.

        Args:
            folder: the folder.
            info: more about how the vectors were made, in addition to their own `info`; must be JSON.
            dtype: of the numbers in the file; None is that of the vectors. float16 takes half of float32, and int8 a
                quarter: each row is divided by its largest number and rounded to 127 steps, and is read as float32.
            card: whether to write a model card beside it, README.md; or what it is to say beside what is known.

        Raises:
            ArgumentTypeError: JSON cannot hold `info`.
            ArgumentError: a word has no UTF-8 form, or there is a README.md that is no model card.
            OSError: a file cannot be written.
        """
        wanted = Card.of(card)
        check_card(folder, wanted)
        described = {**self.info, **(info or {})}
        if dtype not in (None, "float32", "float16", "int8"):
            raise ArgumentError("dtype", "float32, float16, int8 or None", dtype)
        vector_files.write_safetensors(
            folder,
            self.index_to_key,
            self.vectors,
            self.counts,
            described,
            dtype=dtype,
            subwords=self.subwords,
        )
        if wanted is not None:
            write_card(folder, self._card_facts(described), wanted)

    def _card_facts(self, info: Mapping[str, Any] | None = None) -> CardFacts:
        settings = dict(self.info if info is None else info)
        origin = settings.pop("origin", None)
        return CardFacts(
            kind="KeyedVectors",
            family="word vectors",
            summary="A vector for each word, compared by cosines.",
            origin=origin if isinstance(origin, dict) else {},
            sizes={"words": len(self), "dimensions": self.vector_size},
            settings=[SettingShown(name, shown(value), "") for name, value in settings.items()],
            every_setting=settings,
            validation=None,
            usage=f"print(model.most_similar({self._words[0]!r}))" if len(self) else "print(model)",
        )

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        limit: int | None = None,
        dtype: DTypeLike | None = None,
        encoding: str | None = None,
        errors: Errors = "strict",
        duplicates: Duplicates = "error",
        check: bool = True,
        mmap: bool = False,
    ) -> Self:
        """Read vectors from a folder, or a file of word2vec, GloVe or fastText (.vec and .bin).

        The folder is one that `save` wrote, or `save` of a Word2Vec, of which the word vectors are read.

        Text and binary files are told apart, as are those with and without a first line `V D`; they may be compressed
        (.gz, .bz2, .xz, .zst, or a .zip with one file in it). Words of text may have blanks in them. A model of
        fastText, .bin, has vectors of unknown words, too; it is mapped, not copied, if it is not compressed.

        Args:
            path: the folder or file; "-" is standard input.
            limit: number of words to read, from the first; None reads all.
            dtype: float32 or float16; None is that of a file that `save` wrote, and float32.
            encoding: of the words in a file of another tool, such as "latin-1"; None recognizes it.
            errors: what to do with bytes that are invalid in it: "strict" raises an error, "replace" reads them as
                U+FFFD, "ignore" leaves them out. word2vec.c cuts long words inside of characters.
            duplicates: what to do with words that come again: "error", or keep the "first" or the "last" vector.
            check: compare the digests in a file that `save` wrote, at about the speed of a copy.
            mmap: leave the vectors in a file that `save` wrote, and the words as they lie there: they are read when
                they are asked for, and processes share the vectors. The digest of the vectors is not compared then: a
                number that is not finite, and words that are there twice, are found when a question comes upon them.
                The file must not be written to; `save` replaces it, which leaves what is open as it was.
                Of a whole Word2Vec with subwords the vectors are not in the file, so that they are made in memory.

        Raises:
            OSError: there is no such file, or it cannot be read.
            ArgumentError, ArgumentTypeError: an argument is not as described.
            ValueError: the file is damaged or truncated, or does not hold vectors; the message names it, and the line
                or word.
        """
        options = ReadingOptions.checked(
            limit=limit, dtype=dtype or np.float32, encoding=encoding, errors=errors, duplicates=duplicates
        )
        target = Path(path)
        if target.is_dir():
            files = [target / name for name in (vector_files.FILE, vector_files.MODEL_FILE)]
            target = next((file for file in files if file.exists()), None)
            if target is None:
                raise FileNotFoundError(f"{path}: there are no vectors in this folder (no {vector_files.FILE})")
        if not vector_files.is_safetensors(target):
            if check_bool("mmap", mmap):
                raise ArgumentError("mmap", "False for a file that `save` did not write", True)
            if is_fasttext(target):
                model = read_fasttext(target, **options._asdict())
                return cls._from_file(target, model.words, model.vectors, model.counts, model.subwords)
            return cls._from_file(target, *read_vectors(target, options), None)
        words, vectors, counts, subwords, lengths = vector_files.read_safetensors(target, check=check, mmap=mmap)
        if mmap and dtype is not None and vectors.dtype != options.dtype:
            raise ArgumentError("dtype", f"{vectors.dtype} or None, as the mapped file has it", Verbatim(options.dtype))
        vectors = vectors[:limit]
        if dtype is not None and vectors.dtype != options.dtype:
            vectors, lengths = cast("Vectors", np.asarray(vectors, options.dtype)), None
            if subwords is not None:
                subwords = Subwords(subwords.ngrams, subwords.vectors.astype(options.dtype), subwords.buckets)
        elif limit is not None and not mmap:
            vectors = cast("Vectors", np.array(vectors))  # so that the others are not kept in memory
        counts = None if counts is None else counts[:limit]
        lengths = None if lengths is None else lengths[:limit]
        return cls._from_file(target, words[:limit], vectors, counts, subwords, lengths)

    def save_fasttext(self, path: str | os.PathLike[str]) -> None:
        """Write a model that fastText and gensim read, .bin, with these vectors and those of n-grams, to 1e-6.

        Every bucket has a row in that file, those without a vector zeros. There are no output vectors, so it gives
        vectors, but is not trained on; `Word2Vec.save_fasttext` writes them.

        Args:
            path: the file to write.

        Raises:
            ArgumentError: a word has a character 0 in it, or no UTF-8 form.
            OSError: the file cannot be written.
        """
        write_fasttext(path, self.index_to_key, self.counts, self.vectors, self.subwords)

    @with_gensim_arguments(
        fvocab="counts are written by save(folder), not in this format",
        total_vec="leave it out: all words are written",
        write_header="leave it out: the first line, of V and D, is part of the format",
        prefix="leave it out: words are written as they are",
        append="leave it out: a file holds one model",
        sort_attr="leave it out: words keep their order",
    )
    def save_word2vec_format(self, path: str | os.PathLike[str], binary: bool = False, *, newline: bool = True) -> None:
        """Write the vectors in a format of the C program word2vec, without the counts.

        Args:
            path: the file to write.
            binary: write the binary instead of the text format. Text gives back the same float32 numbers, too.
            newline: in the binary format, whether a newline follows each vector, as from word2vec.c but not gensim.

        Raises:
            ArgumentError: a word is empty, holds white space, has no UTF-8 form or more than 65,536 bytes.
            OSError: the file cannot be written.
        """
        write_word2vec_format(path, self.index_to_key, self.vectors, binary=binary, newline=newline)

    @classmethod
    def load_word2vec_format(
        cls,
        path: str | os.PathLike[str],
        binary: bool | None = None,
        *,
        limit: int | None = None,
        dtype: DTypeLike = np.float32,
        encoding: str | None = None,
        errors: Errors = "strict",
        duplicates: Duplicates = "error",
        **others: Any,
    ) -> Self:
        """Read vectors in a format of another tool.

        Args:
            path: the file to read.
            binary: whether it is the binary format of word2vec.c; None goes by the bytes.
            limit: as for `load`, like all others.
            dtype: float32 or float16.
            encoding: of the words; None recognizes it.
            errors: "strict", "replace" or "ignore" bytes that are invalid in it.
            duplicates: "error", or the vector to keep of words that come again, "first" or "last".
            others: none; gensim's arguments are answered with those of this method.

        Raises:
            OSError, ArgumentError, ArgumentTypeError, ValueError: as `load`.
        """
        for name in others:
            raise ArgumentTypeError(name, "an argument of load_word2vec_format", hint=_GENSIM_HINTS.get(name, ""))
        options = ReadingOptions.checked(
            limit=limit, dtype=dtype, encoding=encoding, errors=errors, duplicates=duplicates
        )
        return cls._from_file(path, *read_vectors(path, options, binary=binary), None)
