"""Train with fastText: options as JSON, with `minn` and `maxn` for subwords. Its training is timed by its progress."""

import json
import sys

import fasttext

options = json.loads(sys.argv[1])
model = fasttext.train_unsupervised(
    options["corpus"],
    model="skipgram" if options["sg"] else "cbow",
    dim=options["dim"],
    lr=options["lr"],
    ws=options["window"],
    neg=options["negatives"],
    t=options["sample"],
    minCount=options["min_count"],
    minn=options.get("minn", 0),  # without, words alone, as the others
    maxn=options.get("maxn", 0),
    epoch=options["epochs"],
    thread=options["threads"],
    verbose=2,
)
if "model" in options:
    model.save_model(options["model"])
    sys.exit()
vectors = model.get_input_matrix()[: len(model.words)].astype("float32")
with open(options["output"], "wb") as file:
    file.write(f"{len(model.words)} {options['dim']}\n".encode())
    for word, vector in zip(model.words, vectors, strict=True):
        file.write(word.encode() + b" " + vector.tobytes() + b"\n")
