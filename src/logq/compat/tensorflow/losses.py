"""nce_loss and sampled_softmax_loss of tf.nn."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from logq.arguments import check_int
from logq.compat.tensorflow.arguments import (
    Classes,
    Numbers,
    Seed,
    Table,
    as_numbers,
    as_switch,
    as_table,
    as_true_classes,
)
from logq.compat.tensorflow.hits import masked
from logq.compat.tensorflow.logits import candidates_of, logits_of, of_logits
from logq.compat.tensorflow.samplers import check_sizes, log_uniform_candidate_sampler
from logq.functional import sampled_loss
from logq.kernels.logits import computed_dtype
from logq.objectives import NCE, SAMPLED_SOFTMAX, Objective
from logq.shapes import check_shape

__all__ = ["nce_loss", "sampled_softmax_loss"]


def nce_loss(
    weights: Table,  # (C, D)
    biases: Table,  # (C,)
    labels: Classes,  # (B, T)
    inputs: Numbers,  # (B, D)
    num_sampled: int,
    num_classes: int,
    num_true: int = 1,
    sampled_values: Sequence[Numbers] | None = None,
    remove_accidental_hits: bool = False,
    name: str | None = "nce_loss",
    *,
    subtract_log_q: bool = True,
    seed: Seed = None,
    sparse: bool = False,
) -> Tensor:  # (B,)
    """Noise-contrastive estimation: logistic loss, the true classes against one sample for the whole batch.

        G = x . w + b - log Q,   loss = sum_t BCE(G_t, 1/T) + sum_s BCE(G_s, 0),   BCE(G, z) = log(1 + exp(G)) - z G

    Equivalent to: tf.nn.nce_loss. `subtract_log_q=False` is negative sampling, `remove_accidental_hits=True` sampled
    logistic. A label is 1/T, so with T > 1 a true class is pushed down by 1 - 1/T of what a negative is. Native:
    logq.functional.nce_loss, whose labels are 1 and whose mask has every copy of a hit.

    Args:
        weights: the class table; a list of tables is put together first, as TensorFlow's strategy "div" reads it, which
            copies them.
        biases: of the classes.
        labels: the true classes, any dtype with whole numbers.
        inputs: the queries.
        num_sampled: S.
        num_classes: C.
        num_true: T.
        sampled_values: what a candidate sampler returned: sampled (S,), expected counts of the true classes (B, T) or
            what broadcasts to it, such as (B, 1), and of the sampled ones (S,). Constants for autograd. None draws S
            different classes by log_uniform_candidate_sampler.
        remove_accidental_hits: whether a sampled class that is a true class of the row leaves its negatives; of one
            that was sampled more than once, the last copy.
        name: not used.
        subtract_log_q: whether log Q is subtracted. Without, the expected counts are not looked at.
        seed: of the draw, if there is one; as in the samplers.
        sparse: whether weights and biases get sparse gradients.

    Returns:
        (B,) in nats, not reduced; in the widest of the dtypes of inputs and weights, float32 at least.

    Raises:
        TypeError: an argument is of another kind than described.
        ValueError: a shape does not fit; a label outside of [0, C); fewer than C rows of weights; S > C where classes
            are drawn; an expected count that is not positive where log Q is subtracted.

    References:
        Gutmann and Hyvaerinen, Noise-contrastive estimation, AISTATS 2010. Mnih and Teh, ICML 2012, arXiv:1206.6426.

    Example:
        >>> weights, biases, inputs = torch.zeros(9, 2), torch.zeros(9), torch.ones(2, 2)
        >>> values = torch.tensor([1, 4, 4]), torch.ones(2, 1), torch.ones(3)
        >>> nce_loss(weights, biases, [[3], [8]], inputs, 3, 9, sampled_values=values)  # 4 log 2
        tensor([2.7726, 2.7726])
    """
    row = replace(NCE, subtract_log_q=as_switch("subtract_log_q", subtract_log_q))
    return _loss(
        row,
        weights,
        biases,
        labels,
        inputs,
        num_sampled,
        num_classes,
        num_true,
        sampled_values,
        remove_accidental_hits,
        seed,
        sparse,
    )


def sampled_softmax_loss(
    weights: Table,  # (C, D)
    biases: Table,  # (C,)
    labels: Classes,  # (B, T)
    inputs: Numbers,  # (B, D)
    num_sampled: int,
    num_classes: int,
    num_true: int = 1,
    sampled_values: Sequence[Numbers] | None = None,
    remove_accidental_hits: bool = True,
    seed: Seed = None,
    name: str | None = "sampled_softmax_loss",
    *,
    subtract_log_q: bool = True,
    sparse: bool = False,
) -> Tensor:  # (B,)
    """Sampled softmax: cross-entropy of the true classes among themselves and one sample for the whole batch.

        G = x . w + b - log Q,   loss = log( sum_t exp(G_t) + sum_s exp(G_s) ) - (1/T) sum_t G_t

    Equivalent to: tf.nn.sampled_softmax_loss. Native: logq.functional.sampled_softmax_loss, which takes one true class
    a row and whose mask has every copy of a hit.

    Args, Returns and Raises: as nce_loss.

    References:
        Jean et al., On Using Very Large Target Vocabulary, ACL 2015, arXiv:1412.2007, Sec. 3.

    Example:
        >>> weights, biases, inputs = torch.zeros(9, 2), torch.zeros(9), torch.ones(2, 2)
        >>> values = torch.tensor([1, 4, 8]), torch.ones(2, 1), torch.ones(3)
        >>> loss = sampled_softmax_loss(weights, biases, [[3], [8]], inputs, 3, 9, sampled_values=values)
        >>> loss.exp()  # among 4 classes, and among 3, as 8 is a hit
        tensor([4., 3.])
    """
    row = replace(SAMPLED_SOFTMAX, subtract_log_q=as_switch("subtract_log_q", subtract_log_q))
    return _loss(
        row,
        weights,
        biases,
        labels,
        inputs,
        num_sampled,
        num_classes,
        num_true,
        sampled_values,
        remove_accidental_hits,
        seed,
        sparse,
    )


def _loss(
    row: Objective,
    weights: Table,
    biases: Table,
    labels: Classes,
    inputs: Numbers,
    num_sampled: int,
    num_classes: int,
    num_true: int,
    sampled_values: Sequence[Numbers] | None,
    remove_accidental_hits: bool,
    seed: Seed,
    sparse: bool,
) -> Tensor:
    sizes: dict[str, int] = {}
    table, bias, queries = as_table("weights", weights), as_table("biases", biases), as_numbers("inputs", inputs)
    check_shape("inputs", queries, "BD", sizes)
    check_shape("weights", table, "CD", sizes)
    check_shape("biases", bias, "C", sizes)
    num_sampled, num_classes = check_int("num_sampled", num_sampled), check_int("num_classes", num_classes)
    if sizes["C"] < num_classes:
        raise ValueError(f"weights: expected num_classes = {num_classes} rows at least, got {sizes['C']}")
    classes = as_true_classes("labels", labels, num_true, num_classes).to(queries.device)
    check_shape("labels", classes, "BT", sizes)
    if sampled_values is None:
        check_sizes(num_sampled, True, num_classes)
        sampled_values = log_uniform_candidate_sampler(classes, num_true, num_sampled, True, num_classes, seed)
    dtype = computed_dtype(queries, table)
    candidates = candidates_of(sampled_values, classes, num_sampled, sizes["C"], dtype, row.subtract_log_q)
    if as_switch("remove_accidental_hits", remove_accidental_hits):
        candidates = candidates._replace(excluded=masked(candidates.ids, classes))
    if num_true == 1:
        return sampled_loss(
            row, queries, table, candidates, bias=bias, remove_hits=False, reduction="none", sparse=sparse
        )
    return of_logits(row, *logits_of(row, queries, table, bias, candidates, sparse), candidates.excluded)
