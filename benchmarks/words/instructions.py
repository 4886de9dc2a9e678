"""A small fixed training for valgrind to count instructions of, which are repeatable where clocks are not.

    valgrind --tool=callgrind --callgrind-out-file=counts.out --toggle-collect='*train_unit_avx2*' \
        python benchmarks/words/instructions.py avx2

Skip-gram, dim 100, window 5, 5 negatives: 20,000 words of 5,000, Zipf's law, none left out. Divide by 20,000. Valgrind
knows no AVX-512.
"""

import sys

import numpy as np

from logq.word2vec.kernel import Setup, alias_cells, keep_thresholds, table, train

WORDS, TIMES, DIM = 5000, 20_000, 100


def main() -> None:
    frequencies = 1 / np.arange(1.0, WORDS + 1)
    rng = np.random.default_rng(1)
    ids = rng.choice(WORDS, size=TIMES, p=frequencies / frequencies.sum()).astype(np.int32)
    inputs, outputs = table(WORDS, DIM), table(WORDS, DIM)
    inputs[:, :DIM] = (rng.random((WORDS, DIM)) - 0.5) / DIM
    setup = Setup(keep_thresholds(np.ones(WORDS)), window=5, cells=alias_cells(frequencies**0.75), simd=sys.argv[1])
    print(train(inputs, outputs, ids, setup, begin=0, end=TIMES, position=0, seed=1, rate=(0.025, 0, 0)))


if __name__ == "__main__":
    main()
