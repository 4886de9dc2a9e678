"""A corpus with the numbers of another vocabulary: what makes two passes of a text that can be read only once."""

import os
from typing import Any

import numpy as np

from logq.text.encoding import EncodedCorpus, find_source, new_id_file, release_ids
from logq.text.encoding_cache import Encoding
from logq.text.scanning import END_OF_LINE
from logq.text.vocabulary import Vocabulary

__all__ = ["can_be_read_again", "recode"]

_READ = 1 << 20  # ids read at a time
_DROPPED = -2


def can_be_read_again(source: Any) -> bool:
    """Whether a source gives its text a second time, which standard input, named pipes and iterators do not.

    Example:
        >>> can_be_read_again([["a", "rose"]]), can_be_read_again("-"), can_be_read_again(iter([["a", "rose"]]))
        (True, False, False)
    """
    if hasattr(source, "__next__"):
        return False
    files = find_source(source, None)[1]
    return files is None or all(file.size is not None for file in files)


def recode(corpus: EncodedCorpus, vocabulary: Vocabulary, cache: str | os.PathLike[str] | None = None) -> EncodedCorpus:
    """Return a corpus as `encode` would with a vocabulary: other words are left out, and sentences without any.

    Args:
        corpus: it stays as it is.
        vocabulary: the words that are kept.
        cache: a folder for the file, which is removed with the object; None takes that of temporary files.

    Raises:
        OSError: the ids cannot be written.

    Example:
        >>> from logq.text import encode
        >>> with encode([["a", "rose"], ["is"], ["a"]], min_count=1) as corpus:
        ...     with recode(corpus, Vocabulary(["rose", "a"], [1, 2])) as other:
        ...         other.read(0, other.num_ids), other.num_sentences, other.raw_words
        (array([ 1,  0, -1,  1, -1], dtype=int32), 2, 4)
    """
    known = vocabulary.key_to_index
    numbers = [known.get(word, _DROPPED) for word in corpus.vocabulary.index_to_key]
    table = np.array([*numbers, END_OF_LINE], dtype=np.int32)  # END_OF_LINE, -1, is the last entry
    counts = np.zeros(len(vocabulary), np.int64)
    ids = new_id_file(cache, None)
    num_ids = num_sentences = 0
    is_inside = False  # of a sentence with a word that is kept
    try:
        for begin in range(0, corpus.num_ids, _READ):
            part = table[corpus.read(begin, min(begin + _READ, corpus.num_ids))]
            part = part[part != _DROPPED]
            is_end = part == END_OF_LINE
            is_first = np.concatenate([[not is_inside], is_end[:-1]])[: len(part)]
            part = part[~(is_end & is_first)]  # ends of sentences that have lost all of their words
            if len(part):
                is_inside = bool(part[-1] != END_OF_LINE)
            ids.append(part)
            counts += np.bincount(part[part != END_OF_LINE], minlength=len(counts))
            num_ids += len(part)
            num_sentences += int(np.count_nonzero(part == END_OF_LINE))
        ids.finish(num_ids)
    except BaseException:
        release_ids(ids, False, os.getpid())
        raise
    about = (corpus.raw_words, None, corpus.invalid_lines, corpus.long_words)
    return EncodedCorpus(Encoding(vocabulary, counts, num_ids, num_sentences, *about), ids, reused=False, keep=False)
