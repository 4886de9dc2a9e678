"""torch-rechub's side of the pipe: steps of its YoutubeDNN by its trainer.

    python benchmarks/losses/rechub_steps.py CASE THREADS in-batch|own        with a Python that has torch-rechub

It has no sample shared by a batch. "in-batch" takes the other rows' items for negatives, B - 1 of them, which is the
nearest; "own" draws S for each row, which is what its tutorial does with a few. Cosines, one table for watched items
and classes, Adam with dense gradients: that is what it is. Its trainer's own loop runs over one batch a step.
"""

import contextlib
import importlib.metadata
import io
import json
import os
import sys
import time

import numpy as np
import torch
import watching
from torch_rechub.basic.features import SequenceFeature, SparseFeature
from torch_rechub.models.matching import YoutubeDNN
from torch_rechub.trainers import MatchTrainer
from workloads import RATE, Case


def steps(case: Case, negatives: str) -> tuple[MatchTrainer, list]:
    """The trainer and its batches."""
    shared = {"vocab_size": case.num_classes, "embed_dim": case.dim}
    item = SparseFeature("item", **shared)
    watched = SequenceFeature("watched", pooling="mean", shared_with="item", **shared)
    others = SequenceFeature("negatives", pooling="concat", shared_with="item", **shared)
    tower = {"dims": [watching.HIDDEN, case.dim], "activation": "relu"}
    model = YoutubeDNN([watched], [item], [others], user_params=tower, temperature=0.05)
    in_batch = negatives == "in-batch"
    trainer = MatchTrainer(model, mode=2, in_batch_neg=in_batch, optimizer_params={"lr": RATE}, n_epoch=1, device="cpu")
    random = np.random.default_rng(4)
    batches = []
    for items, batch in watching.log(case):
        # Without in-batch negatives the model wants a sample for each row; with them it wants a column to look at.
        count = 1 if in_batch else case.sampled
        drawn = random.integers(0, case.num_classes, (case.batch, count))
        x = {"watched": items, "item": batch.targets, "negatives": drawn}
        batches.append(({name: torch.from_numpy(ids) for name, ids in x.items()}, torch.zeros(case.batch)))
    if in_batch:  # its item tower would embed the negatives too
        model.item_tower = lambda x: torch.nn.functional.normalize(
            model.embedding(x, model.item_features, squeeze_dim=False), p=2, dim=2
        )
    return trainer, batches


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    torch.set_num_threads(int(sys.argv[2]))
    trainer, batches = steps(Case(*json.loads(sys.argv[1])), sys.argv[3])
    print(importlib.metadata.version("torch-rechub"), file=answers, flush=True)
    for line in sys.stdin:
        batch = batches[int(line.split()[1])]
        with contextlib.redirect_stderr(io.StringIO()):
            start = time.perf_counter()
            trainer.train_one_epoch([batch])
            taken = time.perf_counter() - start
        print(taken, file=answers, flush=True)


if __name__ == "__main__":
    main()
