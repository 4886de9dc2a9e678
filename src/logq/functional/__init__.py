"""The six losses of the table, and gBCE, over a class table that the caller owns.

    candidates = sampler.draw(targets)
    loss = sampled_softmax_loss(input, weight, candidates, bias=bias)

Letters as in logq.shapes. Every loss has the logits F = (<input, weight_c> + bias_c) / temperature, from which log Q is
subtracted afterwards where its row of the table says so.
"""

from logq.functional.gbce import gbce_loss
from logq.functional.generic import full_loss, sampled_loss
from logq.functional.rows import (
    full_logistic_loss,
    full_softmax_loss,
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
