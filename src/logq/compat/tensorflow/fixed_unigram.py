"""fixed_unigram_candidate_sampler: classes in proportion to given counts, with reserved ids and shards."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from logq.arguments import check_float, check_int
from logq.compat.tensorflow.arguments import Classes, Seed, as_true_classes
from logq.compat.tensorflow.draws import SampledValues, draw
from logq.compat.tensorflow.samplers import check_sizes
from logq.samplers import Unigram

__all__ = ["fixed_unigram_candidate_sampler", "read_vocab_file", "weights_of_shard"]


def fixed_unigram_candidate_sampler(
    true_classes: Classes,  # (B, T)
    num_true: int,
    num_sampled: int,
    unique: bool,
    range_max: int,
    vocab_file: str | PathLike[str] = "",
    distortion: float = 1.0,
    num_reserved_ids: int = 0,
    num_shards: int = 1,
    shard: int = 0,
    unigrams: Sequence[float] | np.ndarray[Any, Any] | Tensor = (),
    seed: Seed = None,
    name: str | None = None,
) -> SampledValues:
    """Draw classes in proportion to counts^distortion; reserved ids are never drawn.

    Equivalent to: tf.random.fixed_unigram_candidate_sampler. Native: logq.samplers.Unigram, which makes its table once
    and not at each call, O(C).

    Ids are positions among the classes of the shard, as in TensorFlow: `range_max` is how many those are. Class i of
    the file or the list has the number num_reserved_ids + i, and a shard has every class whose number divided by
    `num_shards` leaves `shard`. With reserved ids and several shards at once TensorFlow puts classes on the wrong
    shard; that is not reproduced. With distortion = 0 every count weighs 1, a count of 0 as well.

    Args:
        true_classes: (B, T) class ids. The expected count of a reserved id is 0, and `nce_loss` and
            `sampled_softmax_loss` raise for one as a true class.
        num_true: T.
        num_sampled: S.
        unique: whether the sampled classes all differ.
        range_max: C, with the reserved ids.
        vocab_file: text, a class a line; the count is what stands behind the last comma. Empty lines are skipped.
        distortion: the power, 0.75 in word2vec.
        num_reserved_ids: this many leading ids have weight 0.
        num_shards: see above.
        shard: see above.
        unigrams: counts or weights. Exactly one of this and `vocab_file` is to be given.
        seed: as in uniform_candidate_sampler.
        name: not used.

    Returns: as uniform_candidate_sampler.

    Raises:
        OSError: the file cannot be read.
        TypeError, ValueError: as uniform_candidate_sampler; counts that are negative, not finite or all 0; a line of
            the file without a number at its end; `range_max` is not the number of classes.

    Example:
        >>> fixed_unigram_candidate_sampler([[0, 1, 2]], 3, 4, False, 3, unigrams=[1, 1, 2], seed=1).true_expected_count
        tensor([[1., 1., 2.]])
    """
    num_sampled, unique, range_max = check_sizes(num_sampled, unique, range_max)
    if (len(unigrams) == 0) == (not str(vocab_file)):
        both = "none" if len(unigrams) == 0 else "both"
        raise ValueError(f"vocab_file, unigrams: expected exactly one of them, got {both}")
    counts = _checked("unigrams", unigrams) if len(unigrams) else _checked(str(vocab_file), read_vocab_file(vocab_file))
    weights = weights_of_shard(counts, distortion, num_reserved_ids, num_shards, shard)
    if weights.numel() != range_max:
        raise ValueError(
            f"range_max: expected {weights.numel()}, the number of classes in the shard with the reserved ids, "
            f"got {range_max}"
        )
    classes = as_true_classes("true_classes", true_classes, num_true)
    possible = int((weights > 0).sum())
    if unique and num_sampled > possible:
        raise ValueError(
            f"num_sampled: expected at most {possible}, the number of classes with a positive count, with unique=True, "
            f"got {num_sampled}"
        )
    native = Unigram(weights, num_sampled, seed=0, dtype=torch.float64, device="cpu")

    def probability(ids: Tensor) -> Tensor:
        return native.log_prob(ids).exp()

    return draw(native.table.distribution, probability, classes, range_max, num_sampled, unique, seed)


def _checked(name: str, counts: Sequence[float] | np.ndarray[Any, Any] | Tensor) -> Tensor:
    try:
        values = torch.as_tensor(counts, dtype=torch.float64, device="cpu").detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name}: expected numbers, one a class, got {type(counts).__name__} ({error})") from None
    if values.dim() != 1:
        raise ValueError(f"{name}: expected one number a class, got shape {tuple(values.shape)}")
    wrong = ~(values >= 0) | values.isinf()
    if bool(wrong.any()):
        where = int(wrong.nonzero()[0])
        raise ValueError(f"{name}: expected finite counts >= 0, got {values[where].item():g} at {where}")
    return values


def weights_of_shard(counts: Tensor, distortion: float, num_reserved_ids: int, num_shards: int, shard: int) -> Tensor:
    """Weights of the classes of a shard, those of reserved ids first: float64.

    Example:
        >>> weights_of_shard(torch.tensor([10.0, 20.0, 30.0, 40.0]), 1.0, 1, 2, 0)  # numbers 0 (reserved), 2 and 4
        tensor([ 0., 20., 40.], dtype=torch.float64)
    """
    distortion = check_float("distortion", distortion)
    num_reserved_ids, num_shards = (
        check_int("num_reserved_ids", num_reserved_ids, 0),
        check_int("num_shards", num_shards),
    )
    if check_int("shard", shard, 0) >= num_shards:
        raise ValueError(f"shard: expected an integer below num_shards = {num_shards}, got {shard}")
    reserved = len(range(shard, num_reserved_ids, num_shards))
    weights = counts.double()[(shard - num_reserved_ids) % num_shards :: num_shards].pow(distortion)
    if not bool(weights.isfinite().all()) or not bool((weights > 0).any()):
        raise ValueError(
            f"distortion: expected a power that leaves finite weights, one of them positive, got {distortion:g} for "
            f"counts from {counts.min().item():g} to {counts.max().item():g}"
        )
    return torch.cat([weights.new_zeros(reserved), weights])


def read_vocab_file(path: str | PathLike[str]) -> list[float]:
    """The last field, between commas, of each line that is not empty.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no number; the message gives the line.
    """
    counts: list[float] = []
    with Path(path).open("rb") as lines:  # words may be in any encoding
        for number, line in enumerate(lines, 1):
            if not (text := line.rstrip(b"\r\n")):
                continue
            field = text.rpartition(b",")[2].decode("latin-1")
            try:
                counts.append(float(field))
            except ValueError:
                raise ValueError(f"{path}, line {number}: expected a count at the end, got {field!r}") from None
    return counts
