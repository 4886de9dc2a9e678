"""Parts: what one pass over the logits of a batch gives, losses and gradients alike; and what it is given.

Two functions make them, one a shape of the sample, in logq.kernels.cpp.shared and logq.kernels.cpp.per_row:

    shared_parts (input, weight, targets, ids (S,),   true_offsets, offsets, excluded, row_scale, *, ...) -> Parts
    per_row_parts(input, weight, targets, ids (B, S), true_offsets, offsets, excluded, row_scale, *, ...) -> Parts

    G(i, c) = <input_i, weight_c> / temperature + offset          the logits; with weight_c / |weight_c| if `cosine`

where offset is bias_c / temperature - log Q: neither of the two knows biases or expected counts. What they are given:

    input          (B, D) in the real type: float64 if input or weight has it, else float32
    weight         (C, D) float16, bfloat16, float32 or float64, with any strides
    targets        (B, T) int64, IGNORED allowed
    ids            (S,) or (B, S) int64
    true_offsets   (B, T) real or None for zeros; what stands at IGNORED entries, NaN also, has no effect
    offsets        (S,) or (B, S) real or None for zeros, (B, S) also for shared ids
    excluded       (B, S) bool or None: columns that are not in a row's sample
    row_scale      (B,) real or None for ones
    softmax        the loss: softmax, for which T is 1, or logistic
    remove_hits    whether sampled copies of a row's true classes leave its negatives
    temperature    a float
    cosine         whether rows of `weight` are divided by their length, or by 1e-12 if that is more
    gradients      whether to compute them: False leaves all parts but the losses empty

All but `weight` are contiguous, and autocast is off. No size is 0 but B and S. Rows of `weight` are read only where an
id or a target names them.
"""

from typing import NamedTuple

from torch import Tensor

__all__ = ["Parts"]


class Parts(NamedTuple):
    """Losses of a batch, and gradients of L = sum_i row_scale_i loss_i, all in the real type and contiguous.

    A factor is the derivative of L with respect to one inner product <input_i, weight_c>, so also with respect to the
    bias of that class: it has 1 / temperature in it.

    Args:
        losses: (B,), without row_scale; 0 for rows without a true class.
        input: (B, D), the gradient with respect to `input`.
        true_factors: (B, T), 0 where a target is IGNORED.
        factors: per row (B, S); shared (S,), the sum over the rows. 0 for what is no negative.
        rows: shared (S, D), sum_i factor_is input_i: the gradient with respect to the sampled rows, or if `cosine` to
            those rows divided by their length. Per row it is empty, as factors and input say it all.
    """

    losses: Tensor
    input: Tensor
    true_factors: Tensor
    factors: Tensor
    rows: Tensor
