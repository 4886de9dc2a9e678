"""The losses of the table of objectives over class weights that the caller owns.

    candidates = sampler.draw(targets)
    loss = sampled_softmax_loss(input, weight, candidates, bias=bias)

Letters as in logq.shapes. Every loss has the logits F = (<input, weight_c> + bias_c) / temperature, from which log Q is
subtracted afterwards where its objective says so.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
