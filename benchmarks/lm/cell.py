"""One model on one text with one seed, in a process of its own: its perplexity, its speed, its memory.

    python benchmarks/lm/cell.py '{"text": "ptb", "data": DIR, "estimator": "RecurrentLM", "options": {...}, ...}'

Prints one line of JSON. The memory is the most that the process had, imports included.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

from cells import answer


def make(request: dict[str, Any], **more: Any) -> Any:
    """The estimator of a request."""
    import logq

    options = request["options"] | {"seed": request["seed"], "threads": request["threads"]} | more
    return getattr(logq, request["estimator"])(**options)


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Train, and read the perplexity of what was not trained on."""
    import corpora

    import logq
    from logq.text import read_tokens

    data = Path(request["data"])
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        vocabulary = None
        if request["text"] == "ptb":
            texts = corpora.ptb(data, home)
        else:
            texts = corpora.wiki(data, home, *(request[name] for name in ("train_words", "test_words", "test_at")))
            with read_tokens(data / "text" / "enwiki-17m.txt.gz", min_count=5, threads=2, progress=False) as tokens:
                vocabulary = tokens.vocabulary
        more = {"epochs": min(request["epochs"], request["options"]["epochs"])} if request.get("epochs") else {}
        model = make(request, **more)
        began = time.perf_counter()
        model.fit(texts["train"], validation=texts.get("valid"), vocabulary=vocabulary, progress=False)
        trained = time.perf_counter()
        found = model.evaluate(texts["test"], progress=False)
        evaluated = time.perf_counter()
        answers: dict[str, Any] = {
            "perplexity": found.perplexity,
            "tokens": found.num_tokens,
            "unknown": found.num_unknown,
            "words": len(model.vocabulary),
            "train_seconds": trained - began,
            "evaluate_seconds": evaluated - trained,
            "log": model.training_log,
            "version": logq.__version__,
        }
        if request["options"].get("objective") == "negative_sampling":
            # What P is when F is taken for log P: the same model, read without the table's last column.
            model._reader.log_q = None
            answers["perplexity_without_log_q"] = model.evaluate(texts["test"], progress=False).perplexity
    scale = 1 if sys.platform == "darwin" else 1024
    return {**answers, "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale}


if __name__ == "__main__":
    answer(measure)
