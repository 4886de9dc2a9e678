"""N-grams of every order and smoothing on the Penn Treebank: perplexity, seconds, memory."""

import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

import corpora
from cells import answer, run_cell

SMOOTHINGS = ("maximum_likelihood", "add_k", "kneser_ney")
ORDERS = (1, 2, 3, 4, 5)
FALLBACK = (0.5, 1.0, 1.5)
HEAD = "| smoothing | order | test perplexity | impossible | validation | n-grams | fit, s | measure, s | peak MB |"


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Fit one model; the k of add-k is the best for the validation text."""
    import logq

    with tempfile.TemporaryDirectory() as folder:
        texts = corpora.ptb(Path(request["data"]), Path(folder))
        # Of unigrams with 10,000 words no discounts can be estimated: hardly one comes once.
        model = logq.NGram(
            request["order"],
            request["smoothing"],
            k=None,
            discount_fallback=FALLBACK if request["order"] == 1 else None,
        )
        validation = texts["valid"] if request["smoothing"] == "add_k" else None
        began = time.perf_counter()
        model.fit(texts["train"], validation=validation, progress=False)
        fitted = time.perf_counter()
        found = model.evaluate(texts["test"], progress=False)
        evaluated = time.perf_counter()
        valid = model.evaluate(texts["valid"], progress=False)
    scale = 1 if sys.platform == "darwin" else 1024
    return {
        **found.as_dict(),
        "valid": valid.as_dict()["perplexity"],
        "k": model.metadata.get("k"),
        "ngrams": sum(model.metadata["ngrams"]),
        "seconds": fitted - began,
        "evaluate_seconds": evaluated - fitted,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale,
    }


def table(data: Path, keep: Path | None) -> str:
    """Markdown: a line a model."""
    lines = [
        HEAD,
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for smoothing in SMOOTHINGS:
        for order in ORDERS:
            request = {"data": str(data), "smoothing": smoothing, "order": order}
            found = run_cell(HERE / "ngram_table.py", request, f"{smoothing}, order {order}", threads=1, keep=keep)
            if found is None:
                lines.append(f"| {smoothing} | {order} | failed |")
                continue
            name = smoothing.replace("_", " ") + (f", k = {found['k']:.2g}" if smoothing == "add_k" else "")
            test, valid = (
                "infinite" if one is None else f"{one:,.1f}" for one in (found["perplexity"], found["valid"])
            )
            lines.append(
                f"| {name} | {order} | {test} | {found['num_impossible']:,} | {valid} | {found['ngrams']:,} | "
                f"{found['seconds']:.1f} | {found['evaluate_seconds']:.1f} | {found['peak_bytes'] / 1e6:,.0f} |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    answer(measure)
