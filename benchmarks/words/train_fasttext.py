"""Train with fastText, without subwords: options as JSON. Its training is timed by the progress it prints."""

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
    minn=0,  # no subwords: words alone, as the others
    maxn=0,
    epoch=options["epochs"],
    thread=options["threads"],
    verbose=2,
)
vectors = model.get_input_matrix()[: len(model.words)].astype("float32")
with open(options["output"], "wb") as file:
    file.write(f"{len(model.words)} {options['dim']}\n".encode())
    for word, vector in zip(model.words, vectors, strict=True):
        file.write(word.encode() + b" " + vector.tobytes() + b"\n")
