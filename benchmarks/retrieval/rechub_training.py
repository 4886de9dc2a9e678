"""torch-rechub's side of the comparison of speeds: its YoutubeDNN, its DataLoader, its trainer, one epoch.

    python benchmarks/retrieval/rechub_training.py EXAMPLES.npz '{"negatives": "in-batch", ...}'

with a Python that has torch-rechub. "in-batch" takes the other rows' items as negatives; "own" reads `sampled` items
for each row, drawn beforehand as its tutorial does. Cosines, one table for watched items and classes, Adam with dense
gradients: that is what it is. Prints seconds and examples as JSON.
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
from torch.utils.data import DataLoader
from torch_rechub.basic.features import SequenceFeature, SparseFeature
from torch_rechub.models.matching import YoutubeDNN
from torch_rechub.trainers import MatchTrainer
from torch_rechub.utils.data import TorchDataset


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    request = json.loads(sys.argv[2])
    torch.set_num_threads(request["threads"])
    torch.manual_seed(request["seed"])
    examples = np.load(sys.argv[1])
    in_batch = request["negatives"] == "in-batch"
    shared = {"vocab_size": request["num_items"] + 1, "embed_dim": request["dim"], "padding_idx": 0}
    item = SparseFeature("item", **shared)
    watched = SequenceFeature("watched", pooling="mean", shared_with="item", **shared)
    others = SequenceFeature("negatives", pooling="concat", shared_with="item", **shared)
    tower = {"dims": [request["hidden"], request["dim"]], "activation": "relu"}
    model = YoutubeDNN([watched], [item], [others], user_params=tower, temperature=request["temperature"])
    columns = {"watched": examples["history"] + 1, "item": examples["target"] + 1}  # 0 pads there
    if in_batch:  # else its item tower would embed negatives that there are none of
        model.item_tower = lambda x: torch.nn.functional.normalize(
            model.embedding(x, model.item_features, squeeze_dim=False), p=2, dim=2
        )
    else:
        random = np.random.default_rng(request["seed"])
        columns["negatives"] = random.integers(
            1, request["num_items"] + 1, (len(examples["target"]), request["sampled"])
        )
    trainer = MatchTrainer(model, mode=2, in_batch_neg=in_batch, optimizer_params={"lr": 1e-3}, n_epoch=1, device="cpu")
    loader = DataLoader(
        TorchDataset(columns, np.zeros(len(examples["target"]))), batch_size=request["batch_size"], shuffle=True
    )
    began = time.perf_counter()
    with contextlib.redirect_stderr(io.StringIO()):
        trainer.train_one_epoch(loader)
    answer = {
        "seconds": time.perf_counter() - began,
        "examples": len(examples["target"]),
        "version": importlib.metadata.version("torch-rechub"),
    }
    print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
