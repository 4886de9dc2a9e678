"""Passes over a batch: what a fused backend brings, and what goes into passes and comes out of them.

A pass takes PassInputs, or FullPassInputs, and leaves LossesAndGradients. What these add to the class weights stands in
Entries, which name some classes often: gradients of the table are summed per class, or applied to it at once.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from logq.kernels import reference_rows
from logq.kernels.reference_backend import Backend
from logq.kernels.reference_rows import falling_shares
from logq.kernels.updates import RowRule, real_dtype

__all__ = ["Entries", "FullPassInputs", "LossesAndGradients", "PassInputs", "Passes", "of_length"]


class PassInputs(NamedTuple):
    """What goes into a pass over a sample: the fields are those of the ops in logq.kernels.ops, too.

        G_ic = <input_i, weight_c> / temperature + offset_ic        with weight_c / |weight_c| if `cosine`

    Args:
        input: (B, D), in float32 or float64, of length 1 if `cosine`; <input, weight> is most of G.
        weight: (C, D), the class weights, in any dtype.
        targets: (B, T), the true classes, negative where there is none.
        ids: (S,) or (B, S), the sampled classes.
        true_offsets: (B, T), added to the logits of the true classes.
        offsets: (S,) or (B, S), added to those of the sampled classes; (B, S) where rows have samples of their own.
        excluded: (B, S) bool, where a class is not part of a row's sample.
        row_scale: (B,), what the loss of a row counts in its gradients; None: 1.
        softmax: whether the loss is softmax or logistic.
        remove_hits: whether sampled copies of a true class leave the negatives.
        temperature: divides dot products.
        cosine: whether rows of the table are divided by their length.
        gradients: whether any are wanted.
        biases: whether those of the sampled biases are wanted too.
        true_weight: what a true class counts in the logistic loss.
    """

    input: Tensor
    weight: Tensor
    targets: Tensor
    ids: Tensor
    true_offsets: Tensor | None
    offsets: Tensor | None
    excluded: Tensor | None
    row_scale: Tensor | None
    softmax: bool
    remove_hits: bool
    temperature: float
    cosine: bool
    gradients: bool
    biases: bool = True
    true_weight: float = 1.0


class FullPassInputs(NamedTuple):
    """What goes into a pass over all classes.

    Args:
        input: (B, D), in float32 or float64.
        weight: (C, D), contiguous, in the same dtype.
        bias: (C,).
        targets: (B, T), negative where there is no class.
        row_scale: (B,), as of PassInputs.
        softmax: whether the loss is softmax or logistic.
        temperature: divides logits.
        needs: which gradients are wanted: of input, weight and bias.
    """

    input: Tensor
    weight: Tensor
    bias: Tensor | None
    targets: Tensor
    row_scale: Tensor | None
    softmax: bool
    temperature: float
    needs: tuple[bool, bool, bool]


class LossesAndGradients(NamedTuple):
    """Losses, and what their gradients are made of; the latter are empty where no gradients are wanted.

    A factor is the derivative of sum_i row_scale_i loss_i by one dot product <input_i, weight_c>.

    Args:
        losses: (B,), not scaled; 0 for a row without a true class.
        input_gradient: (B, D).
        true_factors: (B, T); 0 where there is no class.
        factors: (B, S) where rows have samples of their own; (S,), sums over the rows, for a shared sample: the
            gradients of the biases of sampled classes, empty if these are not asked for.
        row_gradient: (S, D) for a shared sample: sum_i factor_is input_i; empty otherwise.
    """

    losses: Tensor
    input_gradient: Tensor
    true_factors: Tensor
    factors: Tensor
    row_gradient: Tensor


class Entries(NamedTuple):
    """What adds to the gradients of classes, in float32 or float64.

    Args:
        input: (B, D).
        targets: (B, T) int64; those below 0, as IGNORED is, are not classes.
        true_factors: (B, T): each adds factor * input[row] to the row of its class, and the factor to its bias.
        ids: (S,) or (B, S) int64; those below 0 are not classes.
        factors: as `ids`. Of (B, S) each adds factor * input[row]; of (S,) they are what is added to biases.
        rows: (S, D), what ids (S,) add; None for ids (B, S).
    """

    input: Tensor
    targets: Tensor
    true_factors: Tensor
    ids: Tensor
    factors: Tensor
    rows: Tensor | None


class Passes(Backend):
    """The passes that a fused backend may override; the sums over classes are here in plain torch.

    They get plain tensors, without history or inside of a function of autograd, and with autocast off.

    Example:
        >>> Passes().reads_values
        False
    """

    reads_values: bool = False
    """Whether a number can be read from a tensor without waiting for a device."""

    takes_half: bool = False
    """Whether passes take an input in half precision as it is, and all classes of a table in it, too.

    What they give is in float32 all the same, but for the gradient of all classes, which may be in the table's dtype.
    """

    @staticmethod
    def shared_pass(given: PassInputs) -> LossesAndGradients:
        """One pass over the logits of a batch with a sample that all rows share."""
        raise NotImplementedError

    @staticmethod
    def per_row_pass(given: PassInputs) -> LossesAndGradients:
        """The same where each row has a sample of its own; the factors are there with or without `biases`."""
        raise NotImplementedError

    @staticmethod
    def full_pass(given: FullPassInputs) -> LossesAndGradients:
        """One pass over the logits of all classes, with gradients.

        As `shared_pass` with a sample of all classes in order, from which true classes are removed, but that what
        these add to the gradients of classes is in `row_gradient` (C, D) and `factors` (C,).
        """
        raise NotImplementedError

    @staticmethod
    def class_gradients(
        entries: Entries,
        weight: Tensor,  # (C, D)
        *,
        bias: bool,
        scale: float | Tensor,
        cosine: bool,
        sparse: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Gradients of class weights and of biases: for each class the sum of what its entries add, times `scale`.

        With `cosine` a sum is the gradient g of the row divided by its length, u = w / max(|w|, 1e-12), and that of the
        row itself is (g - <g, u> u) / |w|, or g / 1e-12 for a shorter row: computed once per class, after summing.
        `scale` is a float if the backend `reads_values`.

        Returns:
            (C, D) in the dtype of `weight`, and (C,) in float32 or float64, or None unless `bias`. Sparse ones are
            coalesced: ids distinct and ascending.

        Example:
            >>> entries = Entries(
            ...     torch.tensor([[1.0, 2.0]]),
            ...     torch.tensor([[3]]), torch.tensor([[-0.5]]),
            ...     torch.tensor([[0, 3]]), torch.tensor([[0.25, 0.25]]), None,
            ... )
            >>> of_weight, of_bias = Passes.class_gradients(
            ...     entries, torch.zeros(4, 2), bias=True, scale=2.0, cosine=False, sparse=True
            ... )
            >>> of_weight.indices()[0].tolist(), of_weight.values().tolist(), of_bias.values().tolist()
            ([0, 3], [[0.5, 1.0], [-0.5, -1.0]], [0.5, -0.5])
        """
        real = real_dtype(weight.dtype)
        input, targets, true_factors, ids, factors, rows = entries
        true_factors, factors = true_factors.to(real).reshape(-1, 1), factors.to(real)
        true_rows = input.to(real).repeat_interleave(targets.shape[1], dim=0) * true_factors
        if rows is None:
            rows = (factors[:, :, None] * input.to(real)[:, None]).flatten(0, 1)
        # The true classes last: beside their factors, near -1, many small ones would be rounded away.
        named = torch.cat([ids.reshape(-1), targets.reshape(-1)])
        distinct, sums = reference_rows.sum_rows(named, torch.cat([rows.to(real), true_rows]))
        sums = sums * scale
        if cosine:
            sums = of_length(sums, weight.detach()[distinct].to(real))
        of_weight = _spread(distinct, sums.to(weight.dtype), weight.shape, sparse=sparse)
        if not bias:
            return of_weight, None
        # With the same ids, so that both gradients name the same classes.
        _, of_classes = reference_rows.sum_rows(named, torch.cat([factors.reshape(-1, 1), true_factors]))
        return of_weight, _spread(distinct, of_classes[:, 0] * scale, weight.shape[:1], sparse=sparse)

    @staticmethod
    def row_means(
        table: Tensor,  # (n, D)
        codes: Tensor,  # (B, W) int64
        decay: float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """The mean (B, D) of the rows of a table that each row of codes names, and what each of them counts (B, W).

        Codes below 0 name none. A code counts `decay` times as much as the next one of its row; of a row without a code
        mean and shares are 0. What the means add to the gradient of the table is for `class_gradients` to sum.

        Example:
            >>> Passes.row_means(torch.tensor([[1.0], [3.0]]), torch.tensor([[0, 1], [1, -1], [-1, -1]]))
            (tensor([[2.],
                    [3.],
                    [0.]]), tensor([[0.5000, 0.5000],
                    [1.0000, 0.0000],
                    [0.0000, 0.0000]]))
        """
        is_code = codes >= 0
        counts = is_code.sum(dim=1)
        shares = falling_shares(codes, decay, real_dtype(table.dtype))
        each = shares[is_code].to(table.dtype)
        starts = counts.cumsum(dim=0) - counts
        return embedding_bag(codes[is_code], table, starts, mode="sum", per_sample_weights=each), shares

    def update_classes(
        self,
        entries: Entries,
        weight: Tensor,  # (C, D)
        bias: Tensor | None,  # (C,)
        *,
        scale: float | Tensor,
        cosine: bool,
        weight_rule: RowRule | None,
        bias_rule: RowRule | None,
    ) -> None:
        """Apply rules to the rows and biases of the classes that entries name, in place, and store no gradient.

        A table without a rule stays as it is. What the rules are given is what `class_gradients` says.

        Example:
            >>> entries = Entries(
            ...     torch.tensor([[1.0, 2.0]]),
            ...     torch.tensor([[3]]), torch.tensor([[-0.5]]),
            ...     torch.tensor([[0, 3]]), torch.tensor([[0.25, 0.25]]), None,
            ... )
            >>> weight = torch.zeros(4, 2)
            >>> Passes().update_classes(
            ...     entries, weight, None, scale=2.0, cosine=False, weight_rule=RowRule("sgd", lr=0.1), bias_rule=None
            ... )
            >>> weight[3]
            tensor([0.0500, 0.1000])
        """
        of_weight, of_bias = self.class_gradients(
            entries, weight, bias=bias_rule is not None, scale=scale, cosine=cosine, sparse=True
        )
        if weight_rule is not None:
            self.update_rows(weight_rule, weight.detach(), of_weight._indices()[0], of_weight._values())
        if bias is not None and bias_rule is not None and of_bias is not None:
            column = of_bias._values()[:, None].to(bias.dtype)
            self.update_rows(bias_rule, bias.detach()[:, None], of_bias._indices()[0], column)


def of_length(gradients: Tensor, rows: Tensor) -> Tensor:
    """From gradients of rows / max(|rows|, 1e-12) to those of the rows.

    Example:
        >>> of_length(torch.tensor([[1.0, 1.0]]), torch.tensor([[0.0, 2.0]]))
        tensor([[0.5000, 0.0000]])
    """
    length = rows.norm(dim=1, keepdim=True)
    unit = rows / length.clamp(min=1e-12)
    along = (gradients * unit).sum(dim=1, keepdim=True) * unit
    return (gradients - along.where(length > 1e-12, 0.0)) / length.clamp(min=1e-12)


def _spread(ids: Tensor, values: Tensor, shape: torch.Size, *, sparse: bool) -> Tensor:
    """A gradient of the given shape, with values at some ids and zeros elsewhere."""
    if sparse:
        return torch.sparse_coo_tensor(
            ids[None], values, shape, is_coalesced=True, check_invariants=False, requires_grad=False
        )
    return values.new_zeros(shape).index_copy_(0, ids, values)
