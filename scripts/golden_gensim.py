"""Write tests/golden/gensim_*.json but that of phrases: what gensim answers about small tables.

Run with gensim 4.4.0 (`pip install gensim==4.4.0`), which the tests do not need:

    python scripts/golden_gensim.py tests/golden
"""

import json
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
from gensim.models import KeyedVectors, Word2Vec

WORDS = [f"w{number}" for number in range(20)]
TABLE = np.random.default_rng(7).standard_normal((20, 5)).astype(np.float32)
CALLS: list[tuple[str, dict[str, Any]]] = [
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
    ("get_mean_vector", {"keys": ["w1", "unknown", "w2"]}),
    ("get_mean_vector", {"keys": ["w1", "w2"], "weights": [2.0, -0.5], "pre_normalize": False}),
    ("get_mean_vector", {"keys": ["w1", "w2", "w3"], "weights": [1.0, 0.5, 0.25], "post_normalize": True}),
    ("most_similar_to_given", {"key1": "w1", "keys_list": ["w4", "w5", "w6", "w7"]}),
    ("closer_than", {"key1": "w1", "key2": "w4"}),
    ("rank", {"key1": "w1", "key2": "w4"}),
]
MODELS: list[dict[str, Any]] = [
    {"sg": 1, "hs": 1, "negative": 0},
    {"sg": 0, "hs": 1, "negative": 0},
    {"sg": 0, "hs": 1, "negative": 0, "cbow_mean": 0},
    {"sg": 1, "hs": 0, "negative": 5},
    {"sg": 0, "hs": 0, "negative": 5, "cbow_mean": 0},
]
SENTENCES = [["w1", "w2", "w3", "w4", "w5", "w1"], ["w0", "unknown", "w7"], ["w3"], ["w6", "w6", "w2", "w0"]]
CONTEXTS = [["w1", "w2"], ["w3", "unknown", "w3"], ["w0"]]


def predictions() -> list[dict[str, Any]]:
    """What models with tables of random numbers predict; no two nodes of their tree have equal counts."""
    made: list[dict[str, Any]] = []
    rng = np.random.default_rng(3)
    for settings in MODELS:
        model = Word2Vec(vector_size=5, window=2, min_count=1, **settings)
        model.build_vocab_from_freq({f"w{number}": 3 * 2 ** (9 - number) for number in range(8)})
        model.wv.vectors[:] = 0.5 * rng.standard_normal(model.wv.vectors.shape)
        outputs = model.syn1 if settings["hs"] else model.syn1neg
        outputs[:] = rng.standard_normal(outputs.shape)  # logits beyond 6, which `score` leaves out, do not come
        found = {
            "settings": settings,
            "counts": [int(model.wv.get_vecattr(word, "count")) for word in model.wv.index_to_key],
            "words": model.wv.index_to_key,
            "vectors": model.wv.vectors.tolist(),
            "outputs": outputs[: len(model.wv) - settings["hs"]].tolist(),
        }
        if settings["hs"]:
            found["scores"] = model.score(SENTENCES, total_sentences=len(SENTENCES)).tolist()
        else:
            asked = [model.predict_output_word(context, topn=4) for context in CONTEXTS]
            found["predicted"] = [[[word, float(p)] for word, p in answer or []] for answer in asked]
        made.append(found)
    return made


PAIRS = [("w1", "w2", 3.0), ("w3", "w4", 7.5), ("w5", "unknown", 5.0), ("w6", "w7", 1.0), ("no", "w8", 9.0)]


def pairs(vectors: KeyedVectors) -> dict[str, Any]:
    """Correlations where pairs with an unknown word count with a cosine of 0."""
    with NamedTemporaryFile("w", suffix=".tsv") as file:
        file.write("".join("\t".join(map(str, pair)) + "\n" for pair in PAIRS))
        file.flush()
        pearson, spearman, _ = vectors.evaluate_word_pairs(file.name, dummy4unknown=True)
    return {"pairs": PAIRS, "pearson": float(pearson.statistic), "spearman": float(spearman.statistic)}


def main(folder: str) -> None:
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
    files: dict[str, Any] = {
        "gensim_queries.json": {"words": WORDS, "table": TABLE.tolist(), "asked": asked},
        "gensim_predictions.json": {"sentences": SENTENCES, "contexts": CONTEXTS, "models": predictions()},
        "gensim_unknown_pairs.json": {"words": WORDS, "table": TABLE.tolist(), **pairs(vectors)},
    }
    for name, content in files.items():
        Path(folder, name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
