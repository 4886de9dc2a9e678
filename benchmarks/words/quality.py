"""Score files of word vectors, all in the vocabulary that they share: paths as JSON in, numbers as JSON out.

A process of its own, so that what it loads does not count towards the memory of the programs that are measured.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from logq import KeyedVectors
from logq.evaluation import read_analogies, read_pairs, word_analogies, word_similarity


def load(path: Path) -> KeyedVectors:
    return KeyedVectors.load(path) if path.is_dir() else KeyedVectors.load_word2vec_format(path)


def scores(vectors: KeyedVectors, pair_files: Sequence[tuple[str, Any]], questions: Any) -> dict[str, Any]:
    """Of each test set the score, and how many pairs or questions it is of; of analogies where there are questions."""
    found: dict[str, Any] = {}
    for name, pairs in pair_files:
        result = word_similarity(vectors, pairs)
        found[name] = (result.spearman.coefficient, result.pairs)
    if questions is not None:
        total = word_analogies(vectors, questions).total
        found["analogies"] = (total.accuracy, total.total)
    return found


def main() -> None:
    request = json.loads(sys.argv[1])
    files = [Path(path) for path in request["vectors"]]
    vocabularies = [load(path).index_to_key for path in files]
    known = set(vocabularies[0]).intersection(*vocabularies[1:])
    shared = [word for word in vocabularies[0] if word in known]
    pair_files = [(Path(path).stem, read_pairs(Path(path))) for path in request["similarity"]]
    questions = read_analogies(Path(request["analogies"])) if request["analogies"] else None
    answers = []
    for path in files:
        vectors = KeyedVectors(shared, load(path)[shared])
        answers.append(scores(vectors, pair_files, questions))
    print(json.dumps({"words": len(shared), "scores": answers}))


if __name__ == "__main__":
    main()
