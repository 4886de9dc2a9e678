"""Ask Keras 3.15.1 again for what the golden files of tests/golden say that it returns.

    python scripts/golden_keras.py             compares, and exits with 1 where a number differs
    python scripts/golden_keras.py --write     writes keras_calls.json

Without a seed `skipgrams` of Keras fails from Python 3.12 on: this needs an older one. Nothing of logq is imported.
"""

import argparse
import json
import os
import random
import sys
from pathlib import Path

import keras
import numpy as np
from keras.src.legacy.preprocessing.sequence import make_sampling_table, skipgrams

GOLDEN = Path(__file__).parents[1] / "tests" / "golden"
VERSION = "3.15.1"


def stored_by_others() -> list:
    """What is in keras_skipgrams.npz, and what Keras returns for it now."""
    golden = np.load(GOLDEN / "keras_skipgrams.npz")
    found = {
        "table3": make_sampling_table(3),
        "table10": make_sampling_table(10),
        "table1000_f1e-4": make_sampling_table(1000, 1e-4),
    }
    text = [1, 2, 0, 3, 4, 2]
    for name, given in {
        "w1": {"sequence": text[:5], "window_size": 1, "negative_samples": 0.0, "shuffle": False},
        "w2_neg1_seed7_rng0": {"sequence": text, "window_size": 2, "seed": 7},
        "cat": {"sequence": [1, 2, 3], "negative_samples": 0.5, "shuffle": False, "categorical": True},
    }.items():
        random.seed(0)
        given["vocabulary_size"] = 4 if name == "cat" else 5
        found[f"{name}_couples"], found[f"{name}_labels"] = skipgrams(**given)
    return [f"keras_skipgrams: {name}" for name in golden.files if not np.array_equal(golden[name], found[name])]


def runs(count: int) -> list:
    """Runs of three calls one after the other, each from a start of Python's generator."""
    choose = random.Random(30)
    found = []
    for start in range(count):
        calls = []
        for _ in range(3):
            size = choose.randint(2, 9)
            call = {
                "sequence": [choose.randrange(size) for _ in range(choose.randint(0, 9))],
                "vocabulary_size": size,
                "window_size": choose.randint(0, 4),
                "negative_samples": choose.choice([0.0, 0.1, 1.0, 2.5]),
                "shuffle": choose.random() < 0.7,
                "categorical": choose.random() < 0.3,
                "sampling_table": [choose.random() for _ in range(size)] if choose.random() < 0.4 else None,
                "seed": choose.choice([None, 7, 12345]),
            }
            calls.append(call)
        random.seed(start)
        found.append({"start": start, "calls": [{**call, "returns": list(skipgrams(**call))} for call in calls]})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the file")
    write = parser.parse_args().write
    if keras.__version__ != VERSION:
        sys.exit(f"the golden files are of Keras {VERSION}, this is {keras.__version__}")
    wrong = stored_by_others()
    path, found = GOLDEN / "keras_calls.json", runs(20)
    if write:
        temporary = path.with_name(path.name + ".part")
        temporary.write_text("[\n" + ",\n".join(map(json.dumps, found)) + "\n]\n", encoding="utf-8")
        os.replace(temporary, path)
    elif json.loads(path.read_text(encoding="utf-8")) != found:
        wrong.append(path.stem)
    print("\n".join(wrong) or f"2 files are as Keras {VERSION} has them")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
