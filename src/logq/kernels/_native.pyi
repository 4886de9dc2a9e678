"""The compiled backend of logq.kernels; its C++ lies in the folder `native`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = [
    "ClassOrder",
    "Distribution",
    "EncodedBlock",
    "LogCounts",
    "NGramTrie",
    "WordTable",
    "add_classes",
    "add_true_rows",
    "alias_distribution",
    "alias_table",
    "character_ngrams",
    "draw",
    "draw_counted",
    "draw_distinct",
    "equal_counts",
    "find_hits",
    "kept_row_memory",
    "last_break",
    "last_not_above",
    "learned_distribution",
    "log_inclusion",
    "log_uniform_counts",
    "log_uniform_distribution",
    "ngram_columns",
    "ngram_rows",
    "places_of",
    "prefer_huge_pages",
    "read_ahead",
    "release_row_memory",
    "renumber",
    "row_losses",
    "row_means",
    "row_memory",
    "shared_losses",
    "simd_levels",
    "sort_ngram_rows",
    "sum_classes",
    "table_counts",
    "tile_losses",
    "true_dots",
    "uniform_distribution",
    "uniform_rows",
    "update_rows",
    "word2vec_train",
]

def alias_table(
    weights: NDArray[np.float64],  # (C,)
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Build Walker's alias table of a distribution over C classes, in one sweep over its weights.

    Draw cell i with probability 1/C: it gives class i with probability accept[i], otherwise class alias[i], so that

        P(y) = (accept[y] + sum over i with alias[i] = y of (1 - accept[i])) / C

    A class of weight 0 has accept 0 and is nobody's alias. The table depends on the weights only, bit for bit.

    Args:
        weights: (C,) float64, contiguous, on the CPU; finite, >= 0, any positive sum. Anything else that has the
            buffer or DLPack protocol and this dtype, such as a torch tensor, will do.

    Returns:
        accept (C,) float64 in [0, 1] and alias (C,) int32.

    Raises:
        TypeError: `weights` is not such an array (other dtypes are not converted).
        ValueError: a weight is negative or not finite, all are zero, or there are none or 2**31 and more.
    """

def prefer_huge_pages(
    memory: NDArray[np.uint8],  # (n,)
) -> bool:
    """Ask the operating system to keep memory in pages as large as it has; return whether it agreed."""

def read_ahead(
    table: NDArray[np.uint8],  # (n,)
    row_bytes: int,
    rows: NDArray[np.int64],  # (m,), those outside of the table are left out
) -> None:
    """Ask the operating system to read some rows of a table that lies in a file, before they are looked at."""

# The loss kernels. `stored` is the dtype of the class weights: float32, float64, or bfloat16 and float16 as int16.
# Everything else is float64 if that is, float32 otherwise. Negative targets are not classes.

def row_losses(
    input: NDArray[np.floating],  # (B, D)
    weight: NDArray[np.floating] | NDArray[np.int16],  # (C, D)
    stored: str,
    targets: NDArray[np.int64],  # (B, T)
    ids: NDArray[np.int64],  # (B, S)
    *,
    true_offsets: NDArray[np.floating] | None,  # (B, T), added to <input, weight_t> / temperature
    offsets: NDArray[np.floating] | None,  # (B, S)
    excluded: NDArray[np.bool_] | None,  # (B, S)
    row_scale: NDArray[np.floating] | None,  # (B,)
    inverse_temperature: float,
    cosine: bool,
    softmax: bool,
    remove_hits: bool,
    losses: NDArray[np.floating],  # (B,), written
    input_gradient: NDArray[np.floating] | None,  # (B, D), written; None: no gradients
    true_factors: NDArray[np.floating] | None,  # (B, T), written
    factors: NDArray[np.floating] | None,  # (B, S), written
    threads: int,
    simd: str,
) -> None:
    """Losses of rows with sampled classes of their own, and what their gradients are made of.

    Raises:
        TypeError: an argument is not such an array.
        ValueError: a size or dtype does not fit, or a class is not in the table.
    """

def tile_losses(
    pass_: str,  # whole, reduce or factors
    tile: NDArray[np.floating],  # (R, N) dot products, turned into factors
    *,
    offsets: NDArray[np.floating] | None,  # (N,) or (R, N)
    excluded: NDArray[np.bool_] | None,  # (R, excluded_width), of which the tile is columns first_column ...
    excluded_width: int,
    places: NDArray[np.int64] | None,  # (S,), where true classes stand in the sample:
    hits_begin: NDArray[np.int64] | None,  # (R, T), those of (r, t) at places[hits_begin[r, t] : hits_end[r, t]]
    hits_end: NDArray[np.int64] | None,  # (R, T)
    first_column: int,
    targets: NDArray[np.int64],  # (R, T)
    true_logits: NDArray[np.floating],  # (R, T)
    row_scale: NDArray[np.floating] | None,  # (R,)
    inverse_temperature: float,
    softmax: bool,
    gradients: bool,
    first: bool,  # whether the true classes take part in this tile
    losses: NDArray[np.floating],  # (R,), written by the first tile, added to by others
    true_factors: NDArray[np.floating] | None,  # (R, T), written by the first tile
    maxima: NDArray[np.floating] | None,  # (R,), for softmax over several tiles
    sums: NDArray[np.floating] | None,  # (R,)
    threads: int,
    simd: str,
) -> None:
    """Losses of rows that share their sampled classes, from a tile of dot products.

    Softmax over several tiles: "reduce" carries the maximum of the logits and the sum of exp(logit - maximum) on,
    starting with the true logit and 1; then "factors" gives losses and factors.

    Raises:
        TypeError: an argument is not such an array.
        ValueError: a size or dtype does not fit.
    """

def shared_losses(
    input: NDArray[np.float32],  # (B, D)
    sampled: NDArray[np.float32],  # (S, D)
    *,
    offsets: NDArray[np.float32] | None,  # (S,) or (B, S)
    excluded: NDArray[np.bool_] | None,  # (B, S)
    places: NDArray[np.int64] | None,  # as in `tile_losses`, for all rows
    hits_begin: NDArray[np.int64] | None,
    hits_end: NDArray[np.int64] | None,
    targets: NDArray[np.int64],  # (B, T)
    true_logits: NDArray[np.float32],  # (B, T)
    row_scale: NDArray[np.float32] | None,  # (B,)
    inverse_temperature: float,
    softmax: bool,
    gradients: bool,
    losses: NDArray[np.float32],  # (B,), written
    true_factors: NDArray[np.float32] | None,  # (B, T), written
    input_gradient: NDArray[np.float32] | None,  # (B, D), written: factors x sampled
    row_gradient: NDArray[np.float32] | None,  # (S, D), written: factors' x input
    column_sums: NDArray[np.float32] | None,  # (S,), written: of factors
    threads: int,
    simd: str,
) -> None:
    """Losses of rows that share their sampled classes, from dot products to what gradients are made of.

    Threads do not change the result.

    Raises:
        TypeError: an argument is not such an array.
        ValueError: a size or dtype does not fit, or there are no rows or classes.
    """

def find_hits(
    targets: NDArray[np.int64],  # of any shape
    ids: NDArray[np.int64],  # (S,)
    places: NDArray[np.int64],  # (S,), written
    begin: NDArray[np.int64],  # as targets, written
    end: NDArray[np.int64],  # as targets, written
) -> None:
    """Write where classes stand in a sample: every copy of targets[e] is at one of places[begin[e] : end[e]]."""

def true_dots(
    input: NDArray[np.floating],  # (B, D)
    weight: NDArray[np.floating] | NDArray[np.int16],  # (C, D)
    stored: str,
    targets: NDArray[np.int64],  # (B, T)
    *,
    cosine: bool,
    dots: NDArray[np.floating],  # (B, T), written
    threads: int,
    simd: str,
) -> None:
    """Write dots[i, t] = <input_i, weight_t>, 0 where there is no class."""

def add_true_rows(
    to: NDArray[np.floating],  # (B, D)
    weight: NDArray[np.floating] | NDArray[np.int16],  # (C, D)
    stored: str,
    targets: NDArray[np.int64],  # (B, T)
    *,
    factors: NDArray[np.floating],  # (B, T)
    cosine: bool,
    threads: int,
    simd: str,
) -> None:
    """Add the sum over t of factors[i, t] weight_t to to[i]."""

class Distribution:
    """A distribution that is drawn from, with the arrays it looks into, as logq.kernels.distributions has it."""

def uniform_distribution(num_classes: int) -> Distribution:
    """All classes alike. Raises ValueError unless 0 < num_classes < 2**62."""

def log_uniform_distribution(num_classes: int) -> Distribution:
    """Class y in proportion to log((y + 2) / (y + 1)). Raises ValueError unless 0 < num_classes < 2**62."""

def alias_distribution(cells: NDArray[np.int32]) -> Distribution:
    """What an alias table (C, 2) was made of: of each cell the threshold and the alias, a class."""

def learned_distribution(cells: NDArray[np.int32], recent: NDArray[np.int64], in_table: int) -> Distribution:
    """One of `in_table` targets in an alias table and of those in `recent`. Raises ValueError for in_table < 1."""

def draw(distribution: Distribution, seed: int, ids: NDArray[np.int64], *, threads: int = 1) -> None:
    """Fill `ids` (n,) with the draws at the first n positions of the stream of a seed, below 2**64."""

def uniform_rows(
    classes: NDArray[np.int64],  # (n,)
    seed: int,
    inverse_bound: float,
    rows: NDArray[np.float64],  # (n, D)
    *,
    threads: int = 1,
) -> None:
    """Fill `rows` uniformly between +-1 / inverse_bound, that of class y with the numbers from y D of a seed's stream.

    Raises:
        ValueError: there are not as many rows, or `inverse_bound` is not positive.
    """

def draw_distinct(
    distribution: Distribution,
    seed: int,
    ids: NDArray[np.int64],  # (R, S)
    inside: NDArray[np.int64],  # (R, S)
    outside: NDArray[np.int64],  # (R, 1)
    *,
    threads: int = 1,
) -> None:
    """Fill all three as logq.kernels.sampling.distinct_draws says. It does not end if fewer than S + 1 are possible.

    Raises:
        ValueError: the shapes do not fit, or there is nothing to sample.
    """

class LogCounts:
    """The log of the probability of any class, as logq.kernels.expected_counts has it."""

def equal_counts(shift: float, in_double: bool) -> LogCounts:
    """One number for all classes."""

def log_uniform_counts(shift: float, in_double: bool) -> LogCounts:
    """log log( (y + 2) / (y + 1) ) plus a number, for up to 2**51 classes."""

def table_counts(table: NDArray[np.floating], shift: float) -> LogCounts:
    """The numbers of a table (C,), float32 or float64, plus a number."""

def draw_counted(
    distribution: Distribution,
    counts: LogCounts,
    seed: int,
    log_q: NDArray[np.floating],  # (R, S) in the precision of the counts, as true_log_q
    ids: NDArray[np.int64],  # (R, S)
    true_log_q: NDArray[np.floating],  # (R, N)
    targets: NDArray[np.int64],  # (R, N)
    *,
    ignored: int,
    threads: int = 1,
    simd: str = "auto",
) -> None:
    """Fill `ids` as draw_distinct does, and the logs of the expected counts of these and of targets, 0 where `ignored`.

    Raises:
        ValueError: the shapes do not fit, there is nothing to sample, or something is not among the classes.
    """

def places_of(
    ids: NDArray[np.int64],  # (R, S), distinct in each row
    classes: NDArray[np.int64],  # (R, N)
    places: NDArray[np.int64],  # (R, N)
) -> None:
    """Fill `places` with where in its row of `ids` each class stands, -1 for nowhere. Raises ValueError for shapes."""

def log_inclusion(
    log_p: NDArray[np.floating],  # (n,) float32 or float64
    tries: NDArray[np.int64],  # (n,)
    log_q: NDArray[np.floating],  # (n,), written, of the dtype of log_p
    simd: str = "auto",
) -> None:
    """Write log( 1 - (1 - p)^tries ). Raises ValueError for sizes that do not fit."""

def simd_levels() -> list[str]:
    """Return the sets of instructions that run here, the fastest first."""

def word2vec_train(
    inputs: NDArray[np.float32],  # (V, stride), or (R, stride) where words consist of several rows
    outputs: NDArray[np.float32],  # (V, stride) or (V - 1, stride)
    part_offsets: NDArray[np.int64],  # (V + 1,) where words consist of several rows, else empty
    parts: NDArray[np.int32],
    ids: NDArray[np.int32],  # (n,)
    *,
    begin: int,
    end: int,
    position: int,
    seed: int,
    keep: NDArray[np.uint32],  # (V,)
    cells: NDArray[np.uint64],  # (V,), those of the output part, or empty for hierarchical softmax
    offsets: NDArray[np.int64],  # (V + 1,) for hierarchical softmax, else empty
    points: NDArray[np.int32],
    codes: NDArray[np.uint8],
    window: int,
    shrink: bool,
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
    loss_every: int,
    shares: NDArray[np.uint64],  # (P,) for tables in P partitions, else empty
    input_partition: int,
    output_partition: int,
) -> tuple[int, int, float]:
    """Train on ids[begin:end], in place; logq.word2vec.kernel says what each argument is.

    Returns:
        Pairs trained, those of them whose loss was computed, and the sum of these losses.

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
        """Lines that have bytes here that are not UTF-8."""

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

        Each byte that is not part of a UTF-8 character is read as U+FFFD.

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
    """Return the position behind the last white space of a text, 0 if there is none."""

def character_ngrams(
    words: bytes,
    offsets: NDArray[np.int64],  # (V + 1,)
    *,
    shortest: int,
    longest: int,
    buckets: int,
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the buckets of the n-grams of words, which lie one after the other; see logq.text.CharacterNgrams.

    Args:
        words: their bytes.
        offsets: where each begins, and the last one ends.
        shortest: characters.
        longest: characters.
        buckets: below 2**31; without any there are no n-grams.

    Returns:
        offsets (V + 1,) of each word's, and the buckets.

    Raises:
        ValueError: the offsets do not lie in the bytes.
    """

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

class ClassOrder:
    """Entries in the order of their classes: those of one list of ids or of two, the second behind the first.

    Entries of a class stay in the order in which they are; those with an id below 0 are left out. Entries are sorted by
    counting, in passes of at most 12 bits of the id.

    Args:
        lists: one or two, int64 and contiguous.
        num_classes: C, at most 2**32.
        threads: how many sort; the result is the same.

    Raises:
        ValueError: an id is not below C, or there are 2**32 entries or more.
    """

    def __init__(self, lists: Sequence[Tensor | NDArray[np.int64]], num_classes: int, *, threads: int) -> None: ...
    def __len__(self) -> int:
        """Return n, how many different classes there are."""

    def write_ids(self, to: Tensor | NDArray[np.int64], *, threads: int) -> None:
        """Write the ids of these classes, ascending, to an array (n,)."""

def add_classes(
    lists: Sequence[Tensor | NDArray[np.int64]],
    source_rows: Sequence[Tensor | NDArray[Any]],
    factors: Sequence[Tensor | NDArray[Any] | None],
    *,
    sums: Tensor | NDArray[Any],  # (C, D), float32 or float64; added to
    table: Tensor | NDArray[Any] | None = None,  # (C, D), for cosine
    scale: float = 1.0,
    cosine: bool = False,
    threads: int,
    simd: str = "auto",
) -> None:
    """Sum as `sum_classes` with `sums_by_id`, but one entry after the other and with no order: for small tables.

    Args:
        lists: one or two, as ClassOrder takes them.
        source_rows: as in `sum_classes`.
        factors: likewise.
        sums: 0 before.
        table: likewise.
        scale: likewise.
        cosine: likewise.
        threads: which do not change the result.
        simd: see `simd_levels`.

    Raises:
        TypeError: an argument is not such an array.
        ValueError: a size does not fit, or an id is not below C.
    """

def sum_classes(
    order: ClassOrder,
    source_rows: Sequence[Tensor | NDArray[Any]],
    factors: Sequence[Tensor | NDArray[Any] | None],
    *,
    table: Tensor | NDArray[Any] | None = None,
    sums: Tensor | NDArray[Any] | None = None,
    sums_by_id: bool = False,
    scale: float = 1.0,
    cosine: bool = False,
    rule: str = "none",
    first_state: Tensor | NDArray[Any] | None = None,
    second_state: Tensor | NDArray[Any] | None = None,
    rate: float = 0.0,
    decay: float = 0.0,
    epsilon: float = 0.0,
    beta1: float = 0.0,
    beta2: float = 0.0,
    correction: float = 1.0,
    threads: int,
    simd: str = "auto",
) -> None:
    """Sum what the entries of each class add, and write the sums down or apply them to the rows of a table.

    Tables are arrays of two dimensions, float32, float64, bfloat16 or float16, whose rows are contiguous. What is
    computed, and states, are float64 for float64 and float32 for all others. Threads do not change the result.

    Args:
        order: of the classes that the entries name.
        source_rows: for each list of the order (n, D), in the dtype of the table or that of computing. If a list
            has T n entries, each row is that of T of them in turn.
        factors: for each list as many as it has entries, in the dtype of computing: entries add factor * row. None: 1.
        table: (C, D). What the rule changes, and `cosine` looks at.
        sums: (n, D), or with `sums_by_id` (C, D), of which other rows stay as they are: written to, in the dtype of the
            table.
        sums_by_id: see there.
        scale: what the sums are multiplied with.
        cosine: turn a sum from the gradient of w / max(|w|, 1e-12) into that of w, the row of the table.
        rule: "none", "sgd", "adagrad", "rowwise_adagrad" or "adam": see logq.kernels.updates.
        first_state: (C, D), or (C, 1) for rowwise_adagrad.
        second_state: (C, D) for adam.
        rate: the learning rate, for adam divided by 1 - beta1**t.
        decay: weight decay.
        epsilon: of the divisor.
        beta1: of adam.
        beta2: of adam.
        correction: the root of 1 - beta2**t.
        threads: how many work; a class is the work of one.
        simd: one of `simd_levels()`, or "auto" for the first.

    Raises:
        TypeError: an array has another dtype or layout.
        ValueError: sizes do not fit.
    """

def row_means(
    table: Tensor | NDArray[Any],  # (n, D)
    codes: Tensor | NDArray[np.int64],  # (B, W)
    *,
    decay: float,
    means: Tensor | NDArray[Any],  # (B, D), written
    shares: Tensor | NDArray[Any],  # (B, W), written
    threads: int,
    simd: str = "auto",
) -> None:
    """Write the means of the rows of a table that rows of codes name, and what each code counts, 0 where there is none.

    A code counts `decay` times as much as the next one of its row.

    Raises:
        TypeError: an argument is not such an array.
        ValueError: a size does not fit, or a code is not below n.
    """

def update_rows(
    table: Tensor | NDArray[Any],
    ids: Tensor | NDArray[np.int64] | None,
    rows: Tensor | NDArray[Any],
    *,
    scale: float = 1.0,
    rule: str,
    first_state: Tensor | NDArray[Any] | None = None,
    second_state: Tensor | NDArray[Any] | None = None,
    rate: float = 0.0,
    decay: float = 0.0,
    epsilon: float = 0.0,
    beta1: float = 0.0,
    beta2: float = 0.0,
    correction: float = 1.0,
    threads: int,
    simd: str = "auto",
) -> None:
    """Apply a rule to rows of a table by their gradients.

    `ids` (n,) are distinct, or None for all rows; `rows` (n, D) are in the dtype of the table. The others are as for
    `sum_classes`.

    Raises:
        TypeError: an array has another dtype or layout.
        ValueError: sizes do not fit, or an id is not in [0, C).
    """

def row_memory(bytes: int) -> NDArray[np.uint8]:
    """Return (bytes,) uint8 with anything in them, 64 bytes aligned, from memory that other such arrays gave back."""

def kept_row_memory() -> int:
    """Return how many bytes were given back and wait to be used again: of eight blocks at most."""

def release_row_memory() -> None:
    """Give these back to the system."""

def ngram_columns(order: int, highest: int) -> int:
    """Return the number of columns of a row of `ngram_rows`: what `order` packed words take, and one for the count.

    Args:
        order: N.
        highest: the highest id of a word.

    Raises:
        ValueError: there would be more than 9.
    """

def ngram_rows(
    ids: NDArray[np.int32],  # (n,)
    starts: int,
    order: int,
    begin: int,
    end: int,
    at_line_start: bool,
    rows: NDArray[np.uint64],  # (2 starts or more, columns)
) -> int:
    """Write the n-grams of a text as packed rows, each with a count of 1, and return how many.

    An n-gram has N words, or fewer where its line ends. One begins at each place but those of `end`, and one with
    `begin` before each line.

    Args:
        ids: a piece of the text, below `begin`.
        starts: at how many places n-grams begin; those that follow are only read.
        order: N.
        begin: the id of the word before each line, the highest.
        end: the id that closes a line.
        at_line_start: whether a line begins with the first id.
        rows: written over.

    Raises:
        ValueError: an id or the size of `rows` is not as described.
    """

def sort_ngram_rows(
    rows: NDArray[np.uint64],  # (n, columns)
) -> int:
    """Sort packed n-grams in place, and replace equal ones by one with the sum of their counts.

    Returns:
        How many are left.
    """

class NGramTrie:
    """Takes sorted rows apart into the n-grams of orders 2 .. N, as logq.language_models.ngram.ngram_counts has them.

    Args:
        order: N.
        highest: V, the highest id of a word.
    """

    def __init__(self, order: int, highest: int) -> None: ...
    def add(
        self,
        rows: NDArray[np.uint64],  # (n, columns)
    ) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Take further rows; return new keys of each order, and the counts of those that are complete.

        Raises:
            ValueError: rows do not increase, or hold words that do not exist.
        """

    def finish(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Return the counts that are left."""

def last_not_above(
    keys: NDArray[np.int64],  # (n,)
    wanted: NDArray[np.int64],  # (m,)
) -> NDArray[np.int64]:
    """Return for each number the position of the last of the sorted keys that is not above it, -1 where all are."""
