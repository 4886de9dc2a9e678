"""The compiled backend of logq.kernels; its C++ lies in the folder `native`."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["EncodedBlock", "WordTable", "alias_table", "last_break", "renumber", "simd_levels", "word2vec_train"]

def alias_table(
    weights: NDArray[np.float64],  # (C,)
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Build Walker's alias table of a law over C classes, in one sweep over its weights.

    Draw cell i with probability 1/C: it gives class i with probability accept[i], otherwise class alias[i], so that

        P(y) = (accept[y] + sum over i with alias[i] = y of (1 - accept[i])) / C

    A class of weight 0 has accept 0 and is nobody's alias. The table depends on the weights only, bit for bit.

    Args:
        weights: (C,) float64, contiguous, on the CPU; finite, >= 0, any positive sum. Anything else that has the
            buffer or DLPack protocol and this dtype, such as a torch tensor, will do.

    Returns:
        accept (C,) float64 in [0, 1] and alias (C,) int32.

    Raises:
        TypeError: `weights` is no such array (other dtypes are not converted).
        ValueError: a weight is negative or not finite, all are zero, or there are none or 2**31 and more.
    """

def simd_levels() -> list[str]:
    """Return the sets of instructions that run here, the fastest first."""

def word2vec_train(
    inputs: NDArray[np.float32],  # (V, stride)
    outputs: NDArray[np.float32],  # (V, stride) or (V - 1, stride)
    ids: NDArray[np.int32],  # (n,)
    *,
    begin: int,
    end: int,
    position: int,
    seed: int,
    keep: NDArray[np.uint32],  # (V,)
    cells: NDArray[np.uint64],  # (V,), or empty for hierarchical softmax
    offsets: NDArray[np.int64],  # (V + 1,) for hierarchical softmax, else empty
    points: NDArray[np.int32],
    codes: NDArray[np.uint8],
    window: int,
    negatives: int,
    skip_gram: bool,
    mean: bool,
    shared: bool,
    block: int,
    pool: int,
    rate_start: float,
    rate_slope: float,
    rate_floor: float,
    threads: int,
    simd: str,
) -> tuple[int, int, float]:
    """Train on ids[begin:end], in place; logq.kernels.word2vec says what each argument is.

    Returns:
        Pairs trained, those of them whose loss was reckoned, and the sum of these losses.

    Raises:
        TypeError: an array has another dtype or layout.
        ValueError: sizes do not fit, or a number is out of range.
    """

class EncodedBlock:
    """What `WordTable.encode` found in a block of text."""

    def take_ids(self) -> NDArray[np.int32]:
        """Hand over the ids of its words, -1 where a line ends, never two -1 in a row; none are left then."""

    @property
    def words(self) -> int:
        """How many words begin in it, those left out included."""

    @property
    def long_words(self) -> int:
        """Words left out for their length."""

    @property
    def unknown_words(self) -> int:
        """Words left out because the table does not have them; 0 unless frozen."""

    @property
    def invalid_lines(self) -> int:
        """Lines that have bytes here that are no UTF-8."""

    @property
    def has_newline(self) -> bool:
        """Whether a line ends here."""

    @property
    def first_line_invalid(self) -> bool:
        """Whether the line that may have begun before has such bytes here."""

    @property
    def last_line_invalid(self) -> bool:
        """Whether the line that goes on behind has such bytes here."""

class WordTable:
    """Words with their counts, numbered in the order in which they came.

    It may be used by several threads, one at a time. Words are bytes; ids do not depend on anything but their order.

    Args:
        longest_word: longer ones are left out, in bytes.
    """

    def __init__(self, longest_word: int = 65536) -> None: ...
    def __len__(self) -> int: ...
    def encode(
        self, block: bytes, *, frozen: bool = False, starts_inside: bool = False, ends_inside: bool = False
    ) -> EncodedBlock:
        """Split text at white space as `str.split` does, count its words and number them.

        Each byte that is no part of a UTF-8 character is read as U+FFFD.

        Args:
            block: text that begins and ends between words.
            frozen: number no new words but leave them out.
            starts_inside: the block begins inside of a word that is left out for its length.
            ends_inside: the block ends inside of one.

        Raises:
            ValueError: the block has 4 GiB or more, or there would be 2**31 different words.
        """

    def absorb(self, other: WordTable) -> NDArray[np.int32]:
        """Add the words and counts of another table, and return the ids (n,) that its n words have here."""

    def add(self, words: bytes, offsets: NDArray[np.int64]) -> None:
        """Add words with a count of 0: number i has the bytes from offsets[i] to offsets[i + 1].

        Raises:
            ValueError: an offset is smaller than the one before, or leaves the bytes.
        """

    def words(
        self,
        ids: NDArray[np.int64],  # (n,)
    ) -> tuple[bytes, NDArray[np.int64]]:
        """Return the bytes of words one after the other, and (n + 1,) offsets as `add` takes them.

        Raises:
            IndexError: an id is none of the table.
        """

    def counts(self) -> NDArray[np.int64]:
        """Return how often each word came, by id."""

def last_break(text: bytes) -> int:
    """Return the place behind the last white space of a text, 0 if there is none."""

def renumber(
    ids: NDArray[np.int32],  # (n,)
    numbers: NDArray[np.int32],  # (V,)
    *,
    after_end_of_line: bool,
) -> tuple[int, int]:
    """Replace each id >= 0 by its number, in place, leaving out those with a number below 0 and lines without ids.

    Args:
        ids: written over from the start.
        numbers: of each id.
        after_end_of_line: whether an end of line stands before the first id.

    Returns:
        How many ids there are now, and how many ends of lines (-1) among them.

    Raises:
        IndexError: an id is not in [-1, V).
    """
