"""Compare tests/golden/tf_*.npz with what TensorFlow returns, or make them again.

    python -m venv tensorflow && tensorflow/bin/pip install tensorflow==2.21.0
    tensorflow/bin/python scripts/golden_tensorflow.py              names what differs, and fails if something does
    tensorflow/bin/python scripts/golden_tensorflow.py --write      writes the files

It needs TensorFlow and numpy only. Inputs of the four files with one true class were drawn once and are read from the
files; all others are made here, from seeds. What each file holds is in tests/golden/README.md.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

GOLDEN = Path(__file__).parents[1] / "tests" / "golden"
VERSION = "2.21.0"
STORED = ("tf_log_uniform_distinct_hits", "tf_with_replacement", "tf_duplicate_hits", "tf_every_class")
INPUTS = ("weights", "biases", "inputs", "labels", "sampled", "true_expected", "sampled_expected", "gy")

Arrays = dict[str, np.ndarray[Any, Any]]


def log_uniform(ids: Any, num_classes: int) -> np.ndarray[Any, Any]:
    ids = np.asarray(ids)
    return np.log1p(1 / (ids + 1.0)) / np.log1p(num_classes)


def numbers(seed: int, dtype: type, num_classes: int, dim: int, rows: int) -> Arrays:
    random = np.random.RandomState(seed)
    return {
        "weights": random.randn(num_classes, dim).astype(dtype),
        "biases": random.randn(num_classes).astype(dtype),
        "inputs": random.randn(rows, dim).astype(dtype),
        "gy": random.randn(rows).astype(dtype),
    }


def three_true_classes() -> Arrays:
    """float64, duplicates in the sample, hits in every column of the labels, one on a label that stands twice."""
    labels = [[3, 7, 1], [7, 20, 3], [0, 5, 22], [9, 9, 4], [23, 3, 3], [11, 12, 13]]
    sampled = [3, 7, 3, 15, 9, 3, 7, 22, 2]
    counts = {"true_expected": 9 * log_uniform(labels, 24), "sampled_expected": 9 * log_uniform(sampled, 24)}
    return numbers(3, np.float64, 24, 5, 6) | counts | {"labels": np.array(labels), "sampled": np.array(sampled)}


def two_true_classes() -> Arrays:
    """float32, a sample that TensorFlow drew: different classes, some of them hits."""
    import tensorflow as tf

    labels = np.array([[0, 2], [5, 1], [29, 3], [8, 17], [4, 4]])
    sampled, of_true, of_sampled = tf.random.log_uniform_candidate_sampler(labels, 2, 8, True, 30, seed=11)
    counts = {"true_expected": of_true.numpy(), "sampled_expected": of_sampled.numpy()}
    return numbers(2, np.float32, 30, 6, 5) | counts | {"labels": labels, "sampled": sampled.numpy()}


def counts_of_rows() -> Arrays:
    """float64, four true classes whose expected counts are (B, 1), and every class sampled but a few."""
    labels = [[1, 2, 3, 4], [9, 0, 9, 5], [6, 6, 6, 6], [7, 8, 2, 0]]
    sampled = [0, 1, 2, 5, 6, 7, 6]
    random = np.random.RandomState(8)
    counts = {"true_expected": random.rand(4, 1) * 3, "sampled_expected": random.rand(7) * 3}
    return numbers(4, np.float64, 10, 4, 4) | counts | {"labels": np.array(labels), "sampled": np.array(sampled)}


MADE: dict[str, Callable[[], Arrays]] = {
    "tf_three_true_classes": three_true_classes,
    "tf_two_true_classes": two_true_classes,
    "tf_counts_of_rows": counts_of_rows,
}


def losses(name: str) -> Arrays:
    """Losses and gradients for each of removing hits or not, subtracting log Q or not, logistic and softmax."""
    import tensorflow as tf
    from tensorflow.python.ops import nn_impl

    if name in STORED:
        with np.load(GOLDEN / f"{name}.npz") as file:
            found = {key: file[key] for key in INPUTS}
    else:
        found = {key: MADE[name]()[key] for key in INPUTS}
        found["labels"], found["sampled"] = found["labels"].astype(np.int64), found["sampled"].astype(np.int64)
    num_true, num_sampled, num_classes = found["labels"].shape[1], len(found["sampled"]), len(found["weights"])
    values = tuple(tf.constant(found[key]) for key in ("sampled", "true_expected", "sampled_expected"))
    labels, gy = tf.constant(found["labels"]), tf.constant(found["gy"])
    touched = np.unique(np.concatenate([found["labels"].ravel(), found["sampled"]]))

    def loss(kind: str, rm: int, q: int, leaves: list[Any]) -> Any:
        inputs, weights, biases = leaves
        given = (weights, biases, labels, inputs, num_sampled, num_classes, num_true, values)
        if q:
            of = tf.nn.nce_loss if kind == "logistic" else tf.nn.sampled_softmax_loss
            return of(*given, remove_accidental_hits=bool(rm))
        # Without log Q there is no public function: what the two above are made of.
        logits, targets = nn_impl._compute_sampled_logits(
            *given, subtract_log_q=False, remove_accidental_hits=bool(rm), partition_strategy="div"
        )
        if kind == "softmax":
            return tf.nn.softmax_cross_entropy_with_logits(targets, logits)
        return tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(targets, logits), axis=1)

    for rm in (0, 1):
        for q in (0, 1):
            for kind in ("logistic", "softmax"):
                leaves = [tf.Variable(found[key]) for key in ("inputs", "weights", "biases")]
                with tf.GradientTape() as tape:
                    result = loss(kind, rm, q, leaves)
                    total = tf.reduce_sum(result * gy)
                gradients = [tf.convert_to_tensor(gradient).numpy() for gradient in tape.gradient(total, leaves)]
                untouched = np.delete(np.arange(num_classes), touched)
                assert not gradients[1][untouched].any()
                key = f"{kind}_rm{rm}_q{q}"
                found |= {f"{key}_loss": result.numpy(), f"{key}_dinputs": gradients[0]}
                found |= {f"{key}_dweights": gradients[1][touched], f"{key}_dbiases": gradients[2][touched]}
    if name in MADE:
        hits = tf.nn.compute_accidental_hits(labels, values[0], num_true)
        found |= {"hits_indices": hits.indices.numpy(), "hits_ids": hits.ids.numpy()}
    return found


def tries_of(expected: np.ndarray[Any, Any], p: np.ndarray[Any, Any]) -> Any:
    """How many draws the expected counts of distinct draws speak of, read from the rarest class."""
    rare = np.argmin(np.where(p > 0, p, 1))
    return np.int64(np.round(np.log1p(-float(expected[rare])) / np.log1p(-p[rare])))


def distinct(key: str, values: Any, p: np.ndarray[Any, Any]) -> Arrays:
    sampled, of_true, of_sampled = (value.numpy() for value in values)
    found = {f"{key}_sampled": sampled, f"{key}_true_expected": of_true, f"{key}_sampled_expected": of_sampled}
    return found | {f"{key}_num_tries": tries_of(of_true[0], p)}


def samplers(name: str) -> Arrays:
    """Expected counts of all ids of the samplers, a row of the batch with each of them."""
    import tensorflow as tf

    every = [list(range(10))]
    found = {
        "uniform10_S4_nonunique": tf.random.uniform_candidate_sampler(every, 10, 4, False, 10)[1].numpy(),
        "loguniform10_S4_nonunique": tf.random.log_uniform_candidate_sampler(every, 10, 4, False, 10)[1].numpy(),
    }
    for size in (5, 10):
        values = tf.random.log_uniform_candidate_sampler(every, 10, size, True, 10, seed=2)
        found |= distinct(f"loguniform10_S{size}_unique", values, log_uniform(every[0], 10))
    doubling = [2.0**power for power in range(9)]
    settings = {
        "plain": {},
        "dist08": {"distortion": 0.8},
        "dist0": {"distortion": 0.0},
        "dist08_reserved2": {"distortion": 0.8, "num_reserved_ids": 2},
        "shard0of2": {"num_shards": 2, "shard": 0},
        "shard1of2": {"num_shards": 2, "shard": 1},
    }
    for key, setting in settings.items():
        size = {"dist08_reserved2": 11, "shard0of2": 5, "shard1of2": 4}.get(key, 9)
        ids = [list(range(size))]
        values = tf.random.fixed_unigram_candidate_sampler(ids, size, 1, False, size, unigrams=doubling, **setting)
        found[f"fixed_{key}"] = values[1].numpy()
    calls = [tf.random.learned_unigram_candidate_sampler([[3], [3]], 1, 4, False, 10)[1].numpy() for _ in range(3)]
    return found | {"learned10_S4_true_expected_calls": np.stack(calls)[:, :, 0]}


def more_samplers(name: str) -> Arrays:
    """Distinct draws by other samplers, vocabulary files, three shards, counts of 0, repeats among true classes."""
    import tensorflow as tf

    fixed = tf.random.fixed_unigram_candidate_sampler
    ids = [list(range(12))]
    found: Arrays = {}
    for size in (6, 12):
        values = tf.random.uniform_candidate_sampler(ids, 12, size, True, 12, seed=3)
        found |= distinct(f"uniform12_S{size}_unique", values, np.full(12, 1 / 12))
    # Ten million classes, two different ones at the first two tries: S p.
    far = [[0, 1, 9_999_999]]
    values = tf.random.log_uniform_candidate_sampler(far, 3, 2, True, 10_000_000, seed=1)
    found |= {"first_tries_sampled": values[0].numpy(), "first_tries_true_expected": values[1].numpy()}
    counts = [5.0, 0.0, 1.0, 3.0, 2.0, 8.0, 1.5, 0.25, 40.0, 7.0, 6.0]
    p = np.concatenate([[0.0], np.array(counts) ** 0.75])
    values = fixed(ids, 12, 5, True, 12, distortion=0.75, num_reserved_ids=1, unigrams=counts, seed=4)
    found |= {"fixed_counts": np.array(counts)} | distinct("fixed12_S5_unique", values, p / p.sum())
    values = fixed([list(range(11))], 11, 1, False, 11, distortion=0.0, unigrams=counts)
    found["fixed_zero_count_dist0"] = values[1].numpy()
    for shard in range(3):
        size = len(counts[shard::3])
        values = fixed([list(range(size))], size, 2, False, size, num_shards=3, shard=shard, unigrams=counts)
        found[f"fixed_shard{shard}of3"] = values[1].numpy()
    text = b'the,10\n\n,comma,5\r\nx y, 2.5 \n3\n"a,b",1e1'
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "vocabulary.csv")
        path.write_bytes(text)
        found["vocab_file"] = np.frombuffer(text, dtype=np.uint8)
        values = fixed([list(range(7))], 7, 3, False, 7, vocab_file=str(path), distortion=0.5, num_reserved_ids=2)
        found["vocab_file_true_expected"] = values[1].numpy()
    batches = np.array([[[3, 3], [5, 1]], [[3, 0], [5, 5]], [[9, 3], [2, 2]], [[3, 5], [0, 1]]])
    calls = [tf.random.learned_unigram_candidate_sampler(batch, 2, 6, False, 11)[1].numpy() for batch in batches]
    return found | {"learned_batches": batches.astype(np.int64), "learned11_S6_true_expected_calls": np.stack(calls)}


FILES: dict[str, Callable[[str], Arrays]] = {
    **dict.fromkeys((*STORED, *MADE), losses),
    "tf_samplers": samplers,
    "tf_more_samplers": more_samplers,
}


def differences(old: Arrays, new: Arrays) -> list[str]:
    """What is not the same: keys, shapes, types, or numbers beyond rounding."""
    wrong = sorted(old.keys() ^ new.keys())
    for key in old.keys() & new.keys():
        one, other = np.asarray(old[key]), np.asarray(new[key])
        same = one.shape == other.shape and one.dtype == other.dtype
        if same and one.dtype.kind == "f":
            tolerance = 1e-12 if one.dtype == np.float64 else 1e-6
            same = np.allclose(one, other, rtol=tolerance, atol=tolerance)
        elif same:
            same = np.array_equal(one, other)
        if not same:
            wrong.append(key)
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write the files")
    write = parser.parse_args().write
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    if tf.__version__ != VERSION:
        print(f"TensorFlow {tf.__version__}; the files were made with {VERSION}", file=sys.stderr)
    failed = False
    for name, make in FILES.items():
        path = GOLDEN / f"{name}.npz"
        new = make(name)
        if write:
            np.savez_compressed(path, **new)
            print(f"{name}: {path.stat().st_size:,} bytes")
            continue
        if not path.exists():
            print(f"{name}: missing")
            failed = True
            continue
        with np.load(path) as file:
            wrong = differences({key: file[key] for key in file.files}, new)
        failed |= bool(wrong)
        print(f"{name}: {'the same' if not wrong else 'differs in ' + ', '.join(wrong)}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
