"""Write tests/golden/gensim_queries.json: questions about a small table of vectors, and what gensim answers.

Run with gensim 4.4.0 (`pip install gensim==4.4.0`), which the tests do not need:

    python scripts/golden_gensim.py tests/golden/gensim_queries.json
"""

import json
import sys

import numpy as np
from gensim.models import KeyedVectors

WORDS = [f"w{number}" for number in range(20)]
TABLE = np.random.default_rng(7).standard_normal((20, 5)).astype(np.float32)
CALLS = [
    ("most_similar", {"positive": ["w1"], "negative": [["w2", -0.5]], "topn": 5}),
    ("most_similar", {"positive": ["w1"], "negative": [["w2", 0.5]], "topn": 5}),
    ("most_similar", {"positive": [["w1", 0.5], "w3"], "negative": ["w2", ["w4", -2.0]], "topn": 5}),
    ("most_similar", {"positive": ["w1"], "topn": 5, "restrict_vocab": 8}),
    ("most_similar", {"positive": ["w15"], "topn": 20, "restrict_vocab": 8}),
    ("most_similar", {"positive": ["w1", "w2"], "negative": ["w3"], "topn": None}),
    ("most_similar", {"positive": ["w1"], "topn": None, "restrict_vocab": 8}),
    ("most_similar", {"positive": ["w1"], "topn": 0}),
    ("similar_by_word", {"word": "w1", "topn": 3, "restrict_vocab": 6}),
    ("similar_by_word", {"word": "w1", "topn": None}),
    ("similar_by_word", {"word": "w1", "topn": 0}),
    ("similar_by_vector", {"vector": TABLE[4].tolist(), "topn": 3, "restrict_vocab": 6}),
    ("similar_by_vector", {"vector": TABLE[4].tolist(), "topn": None}),
    ("most_similar_cosmul", {"positive": ["w1", "w2"], "negative": ["w3"], "topn": 4}),
    ("most_similar_cosmul", {"positive": ["w1"], "topn": 0}),
    ("n_similarity", {"ws1": ["w1", "unknown"], "ws2": ["w2", "w3", "other"]}),
    ("n_similarity", {"ws1": ["unknown", "w5"], "ws2": ["w5"]}),
    ("doesnt_match", {"words": ["w1", "unknown", "w2", "w3"]}),
    ("doesnt_match", {"words": ["w9", "unknown"]}),
]


def main(path: str) -> None:
    """Ask gensim everything, and write it down."""
    vectors = KeyedVectors(TABLE.shape[1])
    vectors.add_vectors(WORDS, TABLE)
    asked = []
    for name, arguments in CALLS:
        call = {
            key: [tuple(each) if isinstance(each, list) else each for each in value]
            if key in ("positive", "negative")
            else np.array(value, np.float32)
            if key == "vector"
            else value
            for key, value in arguments.items()
        }
        answer = getattr(vectors, name)(**call)
        answer = answer.tolist() if isinstance(answer, np.ndarray | np.generic) else answer
        asked.append({"call": name, "arguments": arguments, "answer": answer})
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"words": WORDS, "table": TABLE.tolist(), "asked": asked}, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main(sys.argv[1])
