"""The candidate samplers of tf.random."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_float, check_int
from logq.compat.tensorflow.tf_arguments import Classes, Seed, as_switch, as_true_classes
from logq.compat.tensorflow.tf_draws import Probability, SampledValues, draw
from logq.kernels.distributions import LearnedDistribution, LogUniformDistribution, UniformDistribution
from logq.samplers import EveryClass, LearnedUnigram, LogUniform, Unigram

__all__ = [
    "all_candidate_sampler",
    "check_sizes",
    "fixed_unigram_candidate_sampler",
    "learned_unigram_candidate_sampler",
    "log_uniform_candidate_sampler",
    "uniform_candidate_sampler",
]


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

    Equivalent to: tf.random.fixed_unigram_candidate_sampler. Native: logq.samplers.Unigram, which builds its table
    once instead of at each call, O(C).

    Ids are positions among the classes of the shard, as in TensorFlow: `range_max` is their number. Class i of the file
    or the list has the number num_reserved_ids + i, and a shard has the classes whose number is `shard` modulo
    `num_shards`. With both reserved ids and several shards TensorFlow puts classes on the wrong shard; that is not
    reproduced. With distortion = 0 every count weighs 1, including a count of 0.

    Args:
        true_classes: (B, T) class ids. The expected count of a reserved id is 0, and `nce_loss` and
            `sampled_softmax_loss` raise for one as a true class.
        num_true: T.
        num_sampled: S.
        unique: whether the sampled classes all differ.
        range_max: C, with the reserved ids.
        vocab_file: text, one class per line; the count is what follows the last comma. Empty lines are skipped.
        distortion: the power, 0.75 in word2vec.
        num_reserved_ids: this many leading ids have weight 0.
        num_shards: see above.
        shard: see above.
        unigrams: counts or weights; give either these or `vocab_file`.
        seed: as in uniform_candidate_sampler.
        name: not used.

    Returns: as uniform_candidate_sampler.

    Raises:
        OSError: the file cannot be read.
        ArgumentTypeError, ArgumentError: as uniform_candidate_sampler; counts are negative, not finite or all 0;
            `range_max` is not the number of classes.
        ValueError: a line of the file does not end with a number.

    Example:
        >>> fixed_unigram_candidate_sampler([[0, 1, 2]], 3, 4, False, 3, unigrams=[1, 1, 2], seed=1).true_expected_count
        tensor([[1., 1., 2.]])
    """
    num_sampled, unique, range_max = check_sizes(num_sampled, unique, range_max)
    if (len(unigrams) == 0) == (not str(vocab_file)):
        got = "neither" if len(unigrams) == 0 else "both"
        raise ArgumentError("unigrams", "either these or vocab_file", Verbatim(got))
    counts = _checked("unigrams", unigrams) if len(unigrams) else _checked(str(vocab_file), read_vocab_file(vocab_file))
    weights = weights_of_shard(counts, distortion, num_reserved_ids, num_shards, shard)
    if weights.numel() != range_max:
        raise ArgumentError(
            "range_max",
            f"{weights.numel()}, the number of classes in the shard with the reserved ids",
            range_max,
        )
    classes = as_true_classes("true_classes", true_classes, num_true)
    possible = int((weights > 0).sum())
    if unique and num_sampled > possible:
        raise ArgumentError(
            "num_sampled",
            f"at most {possible}, the number of classes with a positive count, with unique=True",
            num_sampled,
        )
    native = Unigram(weights, num_sampled, seed=0, dtype=torch.float64, device="cpu")

    def probability(ids: Tensor) -> Tensor:
        return native.log_prob(ids).exp()

    return draw(native.table.distribution, probability, classes, range_max, num_sampled, unique, seed)


def _checked(name: str, counts: Sequence[float] | np.ndarray[Any, Any] | Tensor) -> Tensor:
    try:
        values = torch.as_tensor(counts, dtype=torch.float64, device="cpu").detach()
    except (TypeError, ValueError, RuntimeError) as error:
        got = Verbatim(f"{type(counts).__name__} ({error})")
        raise ArgumentTypeError(name, "numbers, one per class", got) from None
    if values.dim() != 1:
        raise ArgumentError(name, "one number per class", Verbatim(f"shape {tuple(values.shape)}"))
    wrong = ~(values >= 0) | values.isinf()
    if bool(wrong.any()):
        where = int(wrong.nonzero()[0])
        raise ArgumentError(name, "finite counts >= 0", Verbatim(f"{values[where].item():g} at {where}"))
    return values


def weights_of_shard(counts: Tensor, distortion: float, num_reserved_ids: int, num_shards: int, shard: int) -> Tensor:
    """Return the weights of the classes of a shard, those of reserved ids first: float64.

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
        raise ArgumentError("shard", f"an integer below num_shards = {num_shards}", shard)
    reserved = len(range(shard, num_reserved_ids, num_shards))
    weights = counts.double()[(shard - num_reserved_ids) % num_shards :: num_shards].pow(distortion)
    if not bool(weights.isfinite().all()) or not bool((weights > 0).any()):
        raise ArgumentError(
            "distortion",
            "a power that leaves finite weights, one of them positive",
            Verbatim(f"{distortion:g} for counts from {counts.min().item():g} to {counts.max().item():g}"),
        )
    return torch.cat([weights.new_zeros(reserved), weights])


def read_vocab_file(path: str | PathLike[str]) -> list[float]:
    """Return the last field, separated by commas, of each line that is not empty.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a number; the message gives the line.
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


def check_sizes(num_sampled: int, unique: bool, range_max: int) -> tuple[int, bool, int]:
    """Return S, unique and C, which must be large enough for S different classes.

    Example:
        >>> check_sizes(6, True, 5)
        Traceback (most recent call last):
        ...
        logq.ArgumentError: num_sampled: expected at most range_max = 5 with unique=True, got 6
    """
    num_sampled, range_max = check_int("num_sampled", num_sampled), check_int("range_max", range_max)
    unique = as_switch("unique", unique)
    if unique and num_sampled > range_max:
        raise ArgumentError("num_sampled", f"at most range_max = {range_max} with unique=True", num_sampled)
    return num_sampled, unique, range_max


def uniform_candidate_sampler(
    true_classes: Classes,  # (B, T)
    num_true: int,
    num_sampled: int,
    unique: bool,
    range_max: int,
    seed: Seed = None,
    name: str | None = None,
) -> SampledValues:
    """Draw classes uniformly, p = 1 / C.

    Equivalent to: tf.random.uniform_candidate_sampler. Native: logq.samplers.Uniform.

    Args:
        true_classes: (B, T) class ids; they are not left out of the sample.
        num_true: T.
        num_sampled: S.
        unique: whether the sampled classes all differ.
        range_max: C.
        seed: a number for the same draws at each call, a torch.Generator, which moves on, or None for a new seed.
        name: not used.

    Returns:
        SampledValues: sampled_candidates (S,) int64, true_expected_count (B, T) and sampled_expected_count (S,)
        float32: S p with `unique=False`, else 1 - (1 - p)^tries with the number of draws (S p if it is S).

    Raises:
        ArgumentTypeError: an argument has a wrong type.
        ArgumentError: `unique` and S > C; a true class is not in [0, C); S, T or C is below 1; true classes have
            another shape.

    Example:
        >>> uniform_candidate_sampler([[1, 2]], 2, 4, False, 10, seed=1).true_expected_count
        tensor([[0.4000, 0.4000]])
    """
    num_sampled, unique, range_max = check_sizes(num_sampled, unique, range_max)
    classes = as_true_classes("true_classes", true_classes, num_true)

    def probability(ids: Tensor) -> Tensor:
        return torch.full(ids.shape, 1.0 / range_max, dtype=torch.float64, device=ids.device)

    return draw(UniformDistribution(range_max), probability, classes, range_max, num_sampled, unique, seed)


def log_uniform_candidate_sampler(
    true_classes: Classes,  # (B, T)
    num_true: int,
    num_sampled: int,
    unique: bool,
    range_max: int,
    seed: Seed = None,
    name: str | None = None,
) -> SampledValues:
    """Draw classes by Zipf's law, p(y) = log( (y + 2) / (y + 1) ) / log(C + 1), for ids sorted by frequency.

    Equivalent to: tf.random.log_uniform_candidate_sampler, the default of both losses. Native:
    logq.samplers.LogUniform.

    Args, Returns and Raises: as uniform_candidate_sampler.

    Example:
        >>> log_uniform_candidate_sampler([[0], [9]], 1, 4, False, 10, seed=1).true_expected_count
        tensor([[1.1563],
                [0.1590]])
    """
    num_sampled, unique, range_max = check_sizes(num_sampled, unique, range_max)
    classes = as_true_classes("true_classes", true_classes, num_true)
    native = LogUniform(range_max, num_sampled, seed=0, dtype=torch.float64, device="cpu")

    def probability(ids: Tensor) -> Tensor:
        return native.log_prob(ids).exp()

    return draw(LogUniformDistribution(range_max), probability, classes, range_max, num_sampled, unique, seed)


def learned_unigram_candidate_sampler(
    true_classes: Classes,  # (B, T)
    num_true: int,
    num_sampled: int,
    unique: bool,
    range_max: int,
    seed: Seed = None,
    name: str | None = None,
    *,
    state: LearnedUnigram | None = None,
) -> SampledValues:
    """Draw classes in proportion to one plus the number of times that they were true classes so far.

        p(y) = (1 + n_y) / (C + n)

    Equivalent to: tf.random.learned_unigram_candidate_sampler. The sample and its expected counts are those before this
    batch, whose true classes are counted afterwards.

    TensorFlow keeps the counts in the op, where no checkpoint saves them. A function keeps nothing: here they are in a
    logq.samplers.LearnedUnigram that you pass to each call as `state`. They are in its state_dict, and after `eval()`
    it does not learn. Without it a call is the first one of a new op: all classes have the same probability, and
    nothing is learned. Native: LearnedUnigram's own `draw`.

    Args, Returns and Raises: as uniform_candidate_sampler. `state` must have `range_max` classes and be on the CPU; its
    own num_sampled and replacement are not used. There must be fewer than 2^31 classes.

    Example:
        >>> state = LearnedUnigram(10, num_sampled=4)
        >>> for _ in range(3):
        ...     values = learned_unigram_candidate_sampler([[3], [3]], 1, 4, False, 10, state=state)
        ...     print(values.true_expected_count[0])
        tensor([0.4000])
        tensor([1.])
        tensor([1.4286])
    """
    num_sampled, unique, range_max = check_sizes(num_sampled, unique, range_max)
    if range_max >= 1 << 31:
        raise ArgumentError("range_max", "an integer below 2**31 for counts of classes", range_max)
    if state is None:
        return uniform_candidate_sampler(true_classes, num_true, num_sampled, unique, range_max, seed)
    if not isinstance(state, LearnedUnigram):
        raise ArgumentTypeError("state", "a logq.samplers.LearnedUnigram", Verbatim(type(state).__name__))
    if state.num_classes != range_max or state.device.type != "cpu":
        found = f"one of {state.num_classes} on {state.device}"
        raise ArgumentError("state", f"a LearnedUnigram of range_max = {range_max} classes on the CPU", Verbatim(found))
    classes = as_true_classes("true_classes", true_classes, num_true)
    total = state.in_table + state.num_recent
    distribution = LearnedDistribution(state.table.distribution, state.recent[: state.num_recent], state.in_table)
    probability: Probability = lambda ids: state.counts[ids].double() / total  # noqa: E731
    values = draw(distribution, probability, classes, range_max, num_sampled, unique, seed)
    if state.training:
        state.learn(classes.cpu())
    return values


def all_candidate_sampler(
    true_classes: Classes,  # (B, T)
    num_true: int,
    num_sampled: int,
    unique: bool,
    seed: Seed = None,
    name: str | None = None,
) -> SampledValues:
    """Return all classes, 0 to S - 1, each with an expected count of 1: the losses are then full softmax and logistic.

    Equivalent to: tf.random.all_candidate_sampler. Native: logq.samplers.EveryClass, or the full losses.

    Args:
        true_classes: (B, T) class ids.
        num_true: T.
        num_sampled: S, the number of classes.
        unique: not used.
        seed: not used.
        name: not used.

    Returns and Raises: as uniform_candidate_sampler.

    Example:
        >>> all_candidate_sampler([[2]], 1, 3, True)
        SampledValues(sampled_candidates=tensor([0, 1, 2]), true_expected_count=tensor([[1.]]),
                      sampled_expected_count=tensor([1., 1., 1.]))
    """
    num_sampled, _, _ = check_sizes(num_sampled, unique, check_int("num_sampled", num_sampled))
    classes = as_true_classes("true_classes", true_classes, num_true, num_sampled)
    every = EveryClass(num_sampled, device=classes.device, dtype=torch.float32).draw(classes)
    return SampledValues(every.ids, every.true_log_expected_count.exp(), every.log_expected_count.exp())
