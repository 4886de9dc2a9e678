"""Trainings of `logq train word2vec` in processes of their own, as a user has them."""

import os
import subprocess
import sys

import numpy as np

ENV = {**os.environ, "COLUMNS": "200", "OPENBLAS_NUM_THREADS": "1"}
KEPT = ["cache", "model.json", "model.safetensors", "vectors.json", "vectors.safetensors"]
QUICK = ("--epochs", 1, "--dim", 8, "--quiet", "--seed", 1)


def words_of(corpus, folder, *options):
    return [sys.executable, "-m", "logq.cli", "train", "word2vec", *map(str, (corpus, "-o", folder, *options))]


def train(corpus, folder, *options, **more):
    """(exit code, output, errors) of a training to its end."""
    done = subprocess.run(
        words_of(corpus, folder, *options), capture_output=True, text=True, timeout=600, env=ENV, check=False, **more
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def failed(answer):
    code, _, err = answer
    assert code == 2
    return err.splitlines()[-1].removeprefix("Error: ")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write_corpus(path, num_words, *, vocabulary=2000, seed=0):
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, vocabulary + 1)
    ids = rng.choice(vocabulary, num_words, p=share / share.sum())
    with path.open("w") as file:
        for start in range(0, num_words, 20):
            file.write(" ".join(f"w{i}" for i in ids[start : start + 20]) + "\n")
    return path
