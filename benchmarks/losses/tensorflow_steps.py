"""TensorFlow's side of the pipe: takes a step of a case when a line asks for one, and says how long it took.

    python benchmarks/losses/tensorflow_steps.py CASE THREADS        with a Python that has tensorflow

CASE is a case as a JSON list. Lines in: "loss I", "step I", "memory I I ..."; a number per line out. Nothing of logq or
torch is here.
"""

import json
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numbers_of_cases
import tensorflow as tf
from resident import Peak
from workloads import RATE, Case

V1 = tf.compat.v1
OPTIMIZERS = {"sgd": "GradientDescentOptimizer", "adagrad": "AdagradOptimizer", "adam": "AdamOptimizer"}


class Steps:
    """A table, batches, and a step as one graph."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.weight = tf.Variable(numbers_of_cases.table(case))
        # A constant: no gradient and no update of biases, which the contestants in PyTorch do not have either.
        self.bias = tf.zeros([case.num_classes])
        self.batches = [tuple(map(tf.constant, batch)) for batch in numbers_of_cases.batches(case)]
        # The optimizers of TensorFlow 1 still update touched rows only; Keras 3's Adam makes a dense gradient of them.
        self.optimizer = getattr(V1.train, OPTIMIZERS[case.optimizer])(RATE)
        self.loss = tf.function(self._loss)
        self.step = tf.function(self._step)

    def _loss(self, input, targets, ids, log_q, true_log_q):
        case = self.case
        if case.objective == "negative_sampling":
            log_q, true_log_q = tf.zeros_like(log_q), tf.zeros_like(true_log_q)
        removes = case.objective in ("sampled_softmax", "sampled_logistic")
        if not case.shared:
            rows = tf.nn.embedding_lookup(self.weight, tf.concat([targets[:, None], ids], 1))
            scores = tf.einsum("bd,bkd->bk", input, rows)
            scores -= tf.concat([true_log_q[:, None], log_q], 1)
            if removes:
                hit = tf.pad(ids == targets[:, None], [[0, 0], [1, 0]])
                scores = tf.where(hit, tf.constant(-1e9), scores)
            if case.objective == "sampled_softmax":
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.zeros_like(targets), scores)
            else:
                labels = tf.concat([tf.ones_like(scores[:, :1]), tf.zeros_like(scores[:, 1:])], 1)
                losses = tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(labels, scores), 1)
            return tf.reduce_mean(losses)
        values = (ids, tf.exp(true_log_q)[:, None], tf.exp(log_q))  # TensorFlow takes the logarithm itself
        function = tf.nn.sampled_softmax_loss if case.objective == "sampled_softmax" else tf.nn.nce_loss
        losses = function(
            weights=self.weight,
            biases=self.bias,
            labels=targets[:, None],
            inputs=input,
            num_sampled=case.sampled,
            num_classes=case.num_classes,
            sampled_values=values,
            remove_accidental_hits=removes,
        )
        return tf.reduce_mean(losses)

    def _step(self, *batch):
        with tf.GradientTape() as tape:
            tape.watch(batch[0])
            loss = self._loss(*batch)
        gradient, of_input = tape.gradient(loss, [self.weight, batch[0]])
        assert isinstance(gradient, tf.IndexedSlices)
        self.optimizer.apply_gradients([(gradient, self.weight)])
        return loss, of_input  # asked for, or the graph would leave it out

    def answer(self, request: str) -> float:
        """Carry out one line."""
        what, *indices = request.split()
        if what == "loss":
            return float(self.loss(*self.batches[int(indices[0])]))
        if what == "step":
            start = time.perf_counter()
            loss, of_input = self.step(*self.batches[int(indices[0])])
            loss.numpy(), of_input[0, 0].numpy()
            return time.perf_counter() - start
        if what == "memory":
            # The state is made by the first call, before the clock of the peak starts.
            self.step.get_concrete_function(*self.batches[0])
            peak = Peak()
            for index in indices:
                self.step(*self.batches[int(index)])[0].numpy()
            return peak.bytes()
        raise ValueError(request)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever prints, prints elsewhere
    threads = int(sys.argv[2])
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    steps = Steps(Case(*json.loads(sys.argv[1])))
    print(tf.__version__, file=answers, flush=True)
    for line in sys.stdin:
        print(steps.answer(line), file=answers, flush=True)


if __name__ == "__main__":
    main()
