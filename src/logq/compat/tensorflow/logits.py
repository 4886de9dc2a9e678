"""From sampled values to logits, and from logits to losses with labels of 1/T."""

from collections.abc import Sequence

import torch
from torch import Tensor

from logq.candidates import Candidates
from logq.compat.tensorflow.arguments import Numbers, as_counts, as_ids
from logq.kernels.logits import class_rows, logits
from logq.objectives import Objective, logistic, softmax
from logq.shapes import can_look_at, check_ids, check_shape

__all__ = ["candidates_of", "logits_of", "of_logits"]


def candidates_of(
    sampled_values: Sequence[Numbers],
    classes: Tensor,  # (B, T)
    num_sampled: int,
    num_rows: int,
    dtype: torch.dtype,
    subtract_log_q: bool,
) -> Candidates:
    """Candidates of sampled values in the dtype of the loss, with log Q = 0 where it is not subtracted.

    Example:
        >>> values = torch.tensor([4]), torch.ones(2, 1), torch.tensor([0.5])
        >>> candidates_of(values, torch.tensor([[1, 2], [3, 4]]), 1, 5, torch.float32, True).true_log_expected_count
        tensor([[0., 0.],
                [0., 0.]])
    """
    if isinstance(sampled_values, Tensor) or len(sampled_values) != 3:
        raise ValueError(
            "sampled_values: expected (sampled_candidates, true_expected_count, sampled_expected_count), got "
            + (f"{len(sampled_values)} values" if not isinstance(sampled_values, Tensor) else "a tensor")
        )
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
            raise ValueError(f"{name}: expected shape {expected} or one that broadcasts to it, got {found}") from None
        wrong = ~(counts > 0) if can_look_at(counts) else None
        if wrong is not None and bool(wrong.any()):
            raise ValueError(
                f"{name}: expected counts above 0, got {float(counts[wrong][0]):g} for class {int(of[wrong][0])}: "
                "the sampler never draws it, so log Q says nothing; take another law, or subtract_log_q=False"
            )
        log_q.append(counts.log())
    return Candidates(ids, log_q[0], classes, log_q[1])


def logits_of(
    row: Objective, inputs: Tensor, weights: Tensor, biases: Tensor, candidates: Candidates, sparse: bool
) -> tuple[Tensor, Tensor]:
    """Logits of the true classes (B, T) and of the sampled ones (B, S), less log Q where the row has it.

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
    if row.subtract_log_q:
        true, sampled = true - candidates.true_log_expected_count, sampled - candidates.log_expected_count
    return true, sampled


def of_logits(row: Objective, true: Tensor, sampled: Tensor, is_masked: Tensor | None) -> Tensor:
    """The loss of each row with labels of 1/T: logq's own, and what the labels change.

    Example:
        >>> from logq.objectives import NCE
        >>> of_logits(NCE, torch.zeros(1, 2), torch.zeros(1, 2), None)  # 4 log 2
        tensor([2.7726])
    """
    if row.loss is softmax:
        if is_masked is not None:
            sampled = sampled.masked_fill(is_masked, -torch.inf)
        # Not logsumexp, whose rounding at the size of the logits is the error of every probability in the gradient.
        return -torch.cat([true, sampled], dim=1).log_softmax(dim=1)[:, : true.shape[1]].mean(dim=1)
    is_negative = None if is_masked is None else ~is_masked
    of_ones = logistic(true, sampled, torch.ones_like(true, dtype=torch.bool), is_negative)
    return of_ones + (1 - 1 / true.shape[1]) * true.sum(dim=1)
