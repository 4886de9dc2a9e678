"""The losses of the table of objectives over a class table that the caller owns.

    candidates = sampler.draw(targets)
    loss = sampled_softmax_loss(input, weight, candidates, bias=bias)

Letters as in logq.shapes. Every loss has the logits F = (<input, weight_c> + bias_c) / temperature, from which log Q is
subtracted afterwards where its objective says so.
"""

from logq.functional.general_losses import full_loss, sampled_loss
from logq.functional.named_losses import (
    full_logistic_loss,
    full_softmax_loss,
    gbce_loss,
    nce_loss,
    negative_sampling_loss,
    sampled_logistic_loss,
    sampled_softmax_loss,
)

__all__ = [
    "full_logistic_loss",
    "full_loss",
    "full_softmax_loss",
    "gbce_loss",
    "nce_loss",
    "negative_sampling_loss",
    "sampled_logistic_loss",
    "sampled_loss",
    "sampled_softmax_loss",
]
