"""Write tests/golden/fasttext_*: n-grams, and a small model with the vectors that fastText gives to words.

Run with fastText 0.9.2 (`pip install fasttext-wheel==0.9.2 'numpy<2'`), which the tests do not need:

    python scripts/golden_fasttext.py tests/golden
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path

import fasttext
import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from unicode_words import words

KINDS = [(3, 6, 2_000_000), (1, 4, 100_003), (2, 2, 7)]
ASKED = ["tea", "teapot", "café", "日本", "</s>", "teapots", "kettle", "日本語", "xyzzy", "ca"]
TEXT = "tea teapot café 日本 tea cup\nthe teacup and the teapot of 日本\n" * 30


def train(text: Path, **options: object) -> "fasttext.FastText._FastText":
    return fasttext.train_unsupervised(str(text), minCount=1, thread=1, verbose=0, **options)


def main(folder: Path) -> None:
    """Ask fastText, and write it down."""
    with tempfile.TemporaryDirectory() as scratch:
        text = Path(scratch, "text.txt")
        text.write_text(TEXT, encoding="utf-8")
        digests = {}
        for minn, maxn, buckets in KINDS:
            model = train(text, dim=1, epoch=1, minn=minn, maxn=maxn, bucket=buckets)
            own, digest, total = len(model.words), hashlib.sha256(), 0
            for word in words():
                ids = model.get_subwords(word)[1]
                found = ids[ids >= own] - own
                total += len(found)
                digest.update(len(found).to_bytes(4, "little") + found.astype("<i4").tobytes())
            digests[f"{minn} {maxn} {buckets}"] = [total, digest.hexdigest()]
        model = train(text, dim=4, epoch=20, minn=2, maxn=4, bucket=40, lr=0.2, t=1.0)
        model.save_model(str(folder / "fasttext_model.bin"))
        vectors = {word: np.asarray(model.get_word_vector(word), float).tolist() for word in ASKED}
    stored = {"ngrams": digests, "words": model.words, "vectors": vectors}
    (folder / "fasttext.json").write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
