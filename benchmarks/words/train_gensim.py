"""Train with gensim: options as JSON, then how it is to read the corpus, `corpus_file` or `LineSentence`."""

import json
import sys
import time

from gensim.models import Word2Vec
from gensim.models.word2vec import FAST_VERSION, LineSentence

options = json.loads(sys.argv[1])
if FAST_VERSION < 0:
    raise SystemExit("gensim's compiled routines are missing: this would measure its slow path")
if sys.argv[2] == "corpus_file":
    source = {"corpus_file": options["corpus"]}
else:
    source = {"corpus_iterable": LineSentence(options["corpus"])}
model = Word2Vec(
    vector_size=options["dim"],
    sg=int(options["sg"]),
    alpha=options["lr"],
    window=options["window"],
    negative=options["negatives"],
    sample=options["sample"],
    min_count=options["min_count"],
    workers=options["threads"],
    seed=options["seed"],
)
model.build_vocab(**source)
start = time.perf_counter()
model.train(
    **source,
    total_examples=model.corpus_count,
    total_words=model.corpus_total_words,
    epochs=options["epochs"],
)
seconds = time.perf_counter() - start
model.wv.save_word2vec_format(options["output"], binary=True)
print(f"training_seconds {seconds:.3f}")
