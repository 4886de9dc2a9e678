"""nce_loss and sampled_softmax_loss of tf.nn, with their logits and labels of 1/T."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from logq._arguments import ArgumentError, Verbatim, check_int
from logq.candidates import Candidates
from logq.compat.tensorflow.tf_arguments import (
    Classes,
    Numbers,
    Seed,
    Table,
    as_counts,
    as_ids,
    as_numbers,
    as_switch,
    as_table,
    as_true_classes,
)
from logq.compat.tensorflow.tf_draws import masked
from logq.compat.tensorflow.tf_samplers import check_sizes, log_uniform_candidate_sampler
from logq.functional import sampled_loss
from logq.kernels.logits import class_rows, computed_dtype, logits
from logq.objectives import NCE, SAMPLED_SOFTMAX, Objective, logistic, softmax
from logq.shapes import can_look_at, check_ids, check_shape

__all__ = ["nce_loss", "sampled_softmax_loss"]


def candidates_of(
    sampled_values: Sequence[Numbers],
    classes: Tensor,  # (B, T)
    num_sampled: int,
    num_rows: int,
    dtype: torch.dtype,
    subtract_log_q: bool,
) -> Candidates:
    """Return the Candidates of sampled values in the dtype of the loss, with log Q = 0 where it is not subtracted.

    Example:
        >>> values = torch.tensor([4]), torch.ones(2, 1), torch.tensor([0.5])
        >>> candidates_of(values, torch.tensor([[1, 2], [3, 4]]), 1, 5, torch.float32, True).true_log_expected_count
        tensor([[0., 0.],
                [0., 0.]])
    """
    if isinstance(sampled_values, Tensor) or len(sampled_values) != 3:
        got = "a tensor" if isinstance(sampled_values, Tensor) else f"{len(sampled_values)} values"
        expected = "(sampled_candidates, true_expected_count, sampled_expected_count)"
        raise ArgumentError("sampled_values", expected, Verbatim(got))
    ids = as_ids("sampled_values[0]", sampled_values[0]).to(classes.device)
    check_shape("sampled_values[0]", ids, (num_sampled,), {})
    check_ids("sampled_values[0]", ids, num_rows)
    if not subtract_log_q:
        nothing = torch.zeros((), dtype=dtype, device=classes.device)
        return Candidates(ids, nothing.expand(ids.shape), classes, nothing.expand(classes.shape))
    log_q: list[Tensor] = []
    for index, of in ((2, ids), (1, classes)):
        name = f"sampled_values[{index}]"
        counts = as_counts(name, sampled_values[index]).detach().to(classes.device, dtype)
        if counts.dim() == 2:
            of = of.expand(classes.shape[0], -1)
        try:
            counts = counts.expand(of.shape)
        except RuntimeError:
            expected, found = tuple(of.shape), tuple(counts.shape)
            raise ArgumentError(name, f"shape {expected} or one that broadcasts to it", Verbatim(found)) from None
        wrong = ~(counts > 0) if can_look_at(counts) else None
        if wrong is not None and bool(wrong.any()):
            got = f"{float(counts[wrong][0]):g} for class {int(of[wrong][0])}, which the sampler never draws"
            hint = "take another sampler, or subtract_log_q=False"
            raise ArgumentError(name, "counts above 0", Verbatim(got), hint)
        log_q.append(counts.log())
    return Candidates(ids, log_q[0], classes, log_q[1])


def logits_of(
    objective: Objective, inputs: Tensor, weights: Tensor, biases: Tensor, candidates: Candidates, sparse: bool
) -> tuple[Tensor, Tensor]:
    """Return the logits of true classes (B, T) and sampled ones (B, S), minus log Q where the objective subtracts it.

    Example:
        >>> from logq.objectives import NCE
        >>> candidates = Candidates(torch.tensor([2]), torch.zeros(1), torch.tensor([[0, 1]]), torch.zeros(1, 2))
        >>> logits_of(NCE, torch.ones(1, 1), torch.tensor([[1.0], [2.0], [3.0]]), torch.zeros(3), candidates, False)
        (tensor([[1., 2.]]), tensor([[3.]]))
    """
    ids, classes = candidates.ids, candidates.targets
    # One gather for true and sampled classes: two would make two dense (C, D) gradients.
    rows, shifts = class_rows(weights, biases, torch.cat([classes.reshape(-1), ids]), sparse=sparse)
    assert shifts is not None
    sizes = [classes.numel(), ids.numel()]
    (true_rows, sampled_rows), (true_bias, sampled_bias) = rows.split(sizes), shifts.split(sizes)
    true_rows = true_rows.view(*classes.shape, weights.shape[1])
    true = logits(inputs, true_rows, true_bias.view(classes.shape), temperature=1.0, cosine=False)
    sampled = logits(inputs, sampled_rows, sampled_bias, temperature=1.0, cosine=False)
    if objective.subtract_log_q:
        true, sampled = true - candidates.true_log_expected_count, sampled - candidates.log_expected_count
    return true, sampled


def of_logits(objective: Objective, true: Tensor, sampled: Tensor, is_masked: Tensor | None) -> Tensor:
    """Return the loss of each row with labels of 1/T.

    Example:
        >>> from logq.objectives import NCE
        >>> of_logits(NCE, torch.zeros(1, 2), torch.zeros(1, 2), None)  # 4 log 2
        tensor([2.7726])
    """
    if objective.loss is softmax:
        if is_masked is not None:
            sampled = sampled.masked_fill(is_masked, -torch.inf)
        # Not logsumexp, whose rounding error at the size of the logits would be in every probability of the gradient.
        return -torch.cat([true, sampled], dim=1).log_softmax(dim=1)[:, : true.shape[1]].mean(dim=1)
    is_negative = None if is_masked is None else ~is_masked
    of_ones = logistic(true, sampled, torch.ones_like(true, dtype=torch.bool), is_negative)
    return of_ones + (1 - 1 / true.shape[1]) * true.sum(dim=1)


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
    """Return the loss of noise-contrastive estimation, a logistic loss with one sample for the whole batch.

        G = x . w + b - log Q,   loss = sum_t BCE(G_t, 1/T) + sum_s BCE(G_s, 0),   BCE(G, z) = log(1 + exp(G)) - z G

    Equivalent to: tf.nn.nce_loss. `subtract_log_q=False` is negative sampling, `remove_accidental_hits=True` sampled
    logistic. A label is 1/T, so with T > 1 a true class counts as a negative by 1 - 1/T. Native:
    logq.functional.nce_loss, with labels of 1, which masks every copy of a hit.

    Args:
        weights: class weights; a list of tensors is concatenated first, like TensorFlow's strategy "div", which copies
            them.
        biases: of the classes.
        labels: the true classes, any dtype with integers.
        inputs: the queries.
        num_sampled: S.
        num_classes: C.
        num_true: T.
        sampled_values: what a candidate sampler returned: sampled (S,), expected counts of the true classes (B, T) or
            what broadcasts to it, such as (B, 1), and of the sampled ones (S,). Constants for autograd. None draws S
            different classes by log_uniform_candidate_sampler.
        remove_accidental_hits: whether to remove a sampled class that is a true class of the row from its negatives; of
            one that was sampled more than once, only the last copy.
        name: not used.
        subtract_log_q: whether log Q is subtracted; without it, expected counts are not used.
        seed: of the draw, if there is one; as in the samplers.
        sparse: whether weights and biases get sparse gradients.

    Returns:
        (B,) in nats, not reduced; in the widest of the dtypes of inputs and weights, float32 at least.

    Raises:
        ArgumentTypeError: an argument has a wrong type.
        ArgumentError: a shape does not fit; a label is not in [0, C); there are fewer than C rows of weights; S > C
            where classes are drawn; an expected count is not positive where log Q is subtracted.

    References:
        Gutmann and Hyvaerinen, Noise-contrastive estimation, AISTATS 2010. Mnih and Teh, ICML 2012, arXiv:1206.6426.

    Example:
        >>> weights, biases, inputs = torch.zeros(9, 2), torch.zeros(9), torch.ones(2, 2)
        >>> values = torch.tensor([1, 4, 4]), torch.ones(2, 1), torch.ones(3)
        >>> nce_loss(weights, biases, [[3], [8]], inputs, 3, 9, sampled_values=values)  # 4 log 2
        tensor([2.7726, 2.7726])
    """
    objective = replace(NCE, subtract_log_q=as_switch("subtract_log_q", subtract_log_q))
    return _loss(
        objective,
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
    """Return the loss of sampled softmax, the cross-entropy of true classes among them and one sample for the batch.

        G = x . w + b - log Q,   loss = log( sum_t exp(G_t) + sum_s exp(G_s) ) - (1/T) sum_t G_t

    Equivalent to: tf.nn.sampled_softmax_loss. Native: logq.functional.sampled_softmax_loss, which takes one true class
    for each row and masks every copy of a hit.

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
    objective = replace(SAMPLED_SOFTMAX, subtract_log_q=as_switch("subtract_log_q", subtract_log_q))
    return _loss(
        objective,
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
    objective: Objective,
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
        raise ArgumentError("weights", f"at least num_classes = {num_classes} rows", sizes["C"])
    classes = as_true_classes("labels", labels, num_true, num_classes).to(queries.device)
    check_shape("labels", classes, "BT", sizes)
    if sampled_values is None:
        check_sizes(num_sampled, True, num_classes)
        sampled_values = log_uniform_candidate_sampler(classes, num_true, num_sampled, True, num_classes, seed)
    dtype = computed_dtype(queries, table)
    candidates = candidates_of(sampled_values, classes, num_sampled, sizes["C"], dtype, objective.subtract_log_q)
    if as_switch("remove_accidental_hits", remove_accidental_hits):
        candidates = candidates._replace(excluded=masked(candidates.ids, classes))
    if num_true == 1:
        return sampled_loss(
            objective, queries, table, candidates, bias=bias, remove_hits=False, reduction="none", sparse=sparse
        )
    return of_logits(objective, *logits_of(objective, queries, table, bias, candidates, sparse), candidates.excluded)
