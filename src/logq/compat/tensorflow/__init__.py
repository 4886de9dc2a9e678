"""tf.nn's sampled losses and tf.random's candidate samplers: TensorFlow's signatures and numbers, on tensors of torch.

    from logq.compat import tensorflow as tf_nn

    tf_nn.nce_loss, tf_nn.sampled_softmax_loss, tf_nn.compute_accidental_hits
    tf_nn.uniform_candidate_sampler, tf_nn.log_uniform_candidate_sampler, tf_nn.learned_unigram_candidate_sampler
    tf_nn.fixed_unigram_candidate_sampler, tf_nn.all_candidate_sampler

Arguments and their order are those of TensorFlow 2.21; new ones are keywords. What differs from the native losses of
logq is TensorFlow's own: labels of 1/T for T true classes, only the last copy of a hit masked,
expected counts from the number of tries, losses (B,) that are not reduced.

What differs from TensorFlow:

- Half precision is computed in float32, and the result is float32. TensorFlow's mask makes it NaN.
- A hit is masked by a boolean instead of adding -3.4e38. The loss and its gradients are the same.
- An expected count of 0, whose log Q is -inf, raises an ArgumentError where TensorFlow returns NaN or infinity.
- The gradients of `weights` and `biases` are dense, as usual in torch; `sparse=True` gives TensorFlow's IndexedSlices.
- An integer `seed` gives the same draws at every call. For a reproducible loop give a torch.Generator, which moves
  on; None takes a new seed. Neither uses torch's global generator.
- A function remembers nothing between calls: see learned_unigram_candidate_sampler.

Letters as in logq.shapes. docs/migration.md leads from here to the native losses.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
