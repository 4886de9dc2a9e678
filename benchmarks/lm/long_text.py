"""A text longer than what there is: the words of Wikipedia, continued so that distinct n-grams grow as in real text.

The first part is text/enwiki-17m.txt.gz in lines of LINE words. The rest is copied from it in stretches: each line
begins at a random place, and after each word goes on, with probability JUMP, at a random other occurrence of that word.
So all pairs of words are those of the text, and longer n-grams are new about as often as in a text of that length. As a
longer text has new words too, each further part of as many words as the first renames RENAMED of the words beyond the
COMMON most frequent ones, chosen anew.
"""

import argparse
import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LINE = 25
JUMP = 0.3
RENAMED = 0.4
COMMON = 1000
_LINES = 40_000  # at a time


def read_ids(data: Path) -> tuple[list[bytes], NDArray[np.int32]]:
    """The words of the text, most frequent first, and the text as their numbers."""
    with gzip.open(data / "text" / "enwiki-17m.txt.gz") as file:
        words = file.read().split()
    numbers: dict[bytes, int] = {}
    ids = np.fromiter((numbers.setdefault(word, len(numbers)) for word in words), np.int32, len(words))
    order = np.argsort(-np.bincount(ids), kind="stable")
    ranks = np.empty(len(order), np.int32)
    ranks[order] = np.arange(len(order))
    names = list(numbers)
    return [names[i] for i in order], ranks[ids]


def write(data: Path, target: Path, num_words: int, seed: int = 1) -> None:
    """Write a text of about that many words."""
    rng = np.random.default_rng(seed)
    words, ids = read_ids(data)
    places = np.argsort(ids, kind="stable").astype(np.int32)
    starts = np.concatenate([[0], np.cumsum(np.bincount(ids))])
    with open(target, "wb") as file:

        def put(rows: NDArray[np.int32], names: NDArray[np.object_]) -> None:
            file.write(b"".join(b" ".join(row) + b"\n" for row in names[rows].tolist()))

        plain = np.array(words, dtype=object)
        first = ids[: min(len(ids), num_words) // LINE * LINE].reshape(-1, LINE)
        for at in range(0, len(first), _LINES):
            put(first[at : at + _LINES], plain)
        done, part, names = first.size, 0, plain
        while done < num_words:
            if done // len(ids) > part:
                part = done // len(ids)
                new = rng.random(len(words)) < RENAMED
                new[:COMMON] = False
                names = plain.copy()
                names[new] = [b"%s-%d" % (word, part) for word in plain[new]]
            at = rng.integers(0, len(ids) - 1, min(_LINES, -(-(num_words - done) // LINE)))
            rows = np.empty((len(at), LINE), np.int32)
            for column in range(LINE):
                rows[:, column] = now = ids[at]
                jumped = places[starts[now] + (rng.random(len(at)) * (starts[now + 1] - starts[now])).astype(np.int64)]
                at = np.where(rng.random(len(at)) < JUMP, jumped, at) + 1
                at[at == len(ids)] = 0
            put(rows, names)
            done += rows.size


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder with text/enwiki-17m.txt.gz")
    parser.add_argument("--words", type=int, default=100_000_000, metavar="N")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    chosen = parser.parse_args()
    write(chosen.data, chosen.output, chosen.words)
