"""Score files of word vectors, all in the vocabulary that they share: paths as JSON in, numbers as JSON out.

A process of its own, so that what it loads does not count towards the memory of the programs that are measured.
"""

import json
import sys
from pathlib import Path

from scoring import analogies, similarity, unit

from logq import KeyedVectors


def load(path: Path) -> KeyedVectors:
    return KeyedVectors.load(path) if path.is_dir() else KeyedVectors.load_word2vec_format(path)


def read_pairs(path: Path) -> list[tuple[str, str, float]]:
    """Lines of two words and a rating, between tabs, spaces or commas; others, such as a title, are left out."""
    pairs = []
    for line in path.read_text().lower().splitlines():
        try:
            a, b, rating = line.replace(",", " ").split()[:3]
            pairs.append((a, b, float(rating)))
        except ValueError:
            continue
    return pairs


def read_questions(path: Path) -> list[tuple[str, str, str, str]]:
    """Lines of four words; lines that begin with a colon are titles of sections."""
    lines = (line.split() for line in path.read_text().lower().splitlines() if not line.startswith(":"))
    return [(a, b, c, d) for a, b, c, d in (line for line in lines if len(line) == 4)]


def main() -> None:
    request = json.loads(sys.argv[1])
    files = [Path(path) for path in request["vectors"]]
    vocabularies = [load(path).index_to_key for path in files]
    shared = sorted(set(vocabularies[0]).intersection(*vocabularies[1:]))
    places = {word: place for place, word in enumerate(shared)}
    pair_files = [(Path(path).stem, read_pairs(Path(path))) for path in request["similarity"]]
    questions = read_questions(Path(request["analogies"])) if request["analogies"] else None
    answers = []
    for path in files:
        rows = unit(load(path)[shared])
        scores = {name: similarity(rows, places, pairs) for name, pairs in pair_files}
        if questions is not None:
            scores["analogies"] = analogies(rows, places, questions)
        answers.append(scores)
    print(json.dumps({"words": len(shared), "scores": answers}))


if __name__ == "__main__":
    main()
