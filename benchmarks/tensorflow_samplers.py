"""The candidate samplers of TensorFlow, timed in a process of their own: what samplers.py starts with --tensorflow.

Reads lines `sampler num_classes num_sampled batch calls` and answers each with the seconds that a call took.
"""

import os
import sys
import time

os.environ["CUDA_VISIBLE_DEVICES"], os.environ["TF_CPP_MIN_LOG_LEVEL"] = "", "3"

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402  # pyright: ignore[reportMissingImports]

SAMPLERS = {
    "uniform-unique": (tf.random.uniform_candidate_sampler, True),
    "log_uniform-unique": (tf.random.log_uniform_candidate_sampler, True),
    "log_uniform": (tf.random.log_uniform_candidate_sampler, False),
    "learned_unigram": (tf.random.learned_unigram_candidate_sampler, False),
}

drawn = {}


def draw(name, num_classes, num_sampled, batch):
    """A call, compiled once: a learned unigram sampler keeps its counts between calls."""
    key = (name, num_classes, num_sampled, batch)
    if key not in drawn:
        sampler, unique = SAMPLERS[name]
        targets = tf.constant(np.random.default_rng(0).integers(0, num_classes, (batch, 1)), dtype=tf.int64)
        drawn[key] = tf.function(lambda: sampler(targets, 1, num_sampled, unique, num_classes))
        drawn[key]()
    return drawn[key]


if __name__ == "__main__":
    threads = int(sys.argv[1])
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    print(tf.__version__, flush=True)
    for line in sys.stdin:
        name, *numbers = line.split()
        *shape, calls = map(int, numbers)
        run = draw(name, *shape)
        start = time.perf_counter()
        for _ in range(calls):
            run()
        print((time.perf_counter() - start) / calls, flush=True)
