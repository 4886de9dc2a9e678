# %% [markdown]
# # A loss for your own loop in five minutes
#
# You have a training loop, and a last layer of very many classes. This notebook trains the same small model twice,
# with the full softmax and with a sampled one, for the same time, and compares the exact perplexity that each
# reaches. Install with `pip install logq` and run the cells one after the other, or this file as a program.
#
# The classes are the words of Python's own documentation, to be predicted from the two words before.

# %%
from collections import Counter

import torch

from logq.text import python_reference

sentences = python_reference()
counts = Counter(word for sentence in sentences for word in sentence)
words = [word for word, _ in counts.most_common()]  # sorted by frequency, as log-uniform sampling wants them
ids = {word: number for number, word in enumerate(words)}
triples = torch.tensor([[ids[word] for word in s[at : at + 3]] for s in sentences for at in range(len(s) - 2)])
triples = triples[torch.randperm(len(triples), generator=torch.Generator().manual_seed(0))]
held_out, examples = triples[:4000], triples[4000:]
C, D = len(words), 64
print(f"{C:,} classes, {len(examples):,} examples")

# %% [markdown]
# ## The two losses
#
# Both own the weights of the classes, take a query (B, D) and targets (B, 1), and give log P of all classes. The
# sampled one takes a sampler, which hands over the classes with the logarithm of their expected counts, so there is
# nothing to do for the `- log Q` correction. `sparse=True` gives the weights a gradient of the rows that were touched.

# %%
from logq.nn import FullSoftmaxLoss, SampledSoftmaxLoss
from logq.samplers import LogUniform

torch.manual_seed(0)
losses = {
    "full softmax": FullSoftmaxLoss(D, C),
    "sampled softmax": SampledSoftmaxLoss(D, C, LogUniform(C, num_sampled=256, seed=0), sparse=True),
}
losses["sampled softmax"]

# %% [markdown]
# ## The loop
#
# It is the loop that you already have. Each loss gets the same number of seconds. Now and then its exact perplexity
# on held-out text is computed, over all classes, whichever loss it was trained with.

# %%
import time

from logq.optim import LazyAdam

SECONDS, BATCH = 8.0, 256


def train(loss):
    """Train for SECONDS; return the query of two words, and the curve: seconds so far, updates, perplexity."""
    torch.manual_seed(0)
    table = torch.nn.Embedding(C, D, sparse=True)
    optimizer = LazyAdam([*table.parameters(), *loss.parameters()], lr=0.003)

    def query(rows):
        return table(rows[:, :2]).mean(1)

    def perplexity():
        with torch.no_grad():
            logs = [loss.log_prob(query(rows)).gather(1, rows[:, 2:]) for rows in held_out.split(1000)]
        return float(torch.cat(logs).mean().neg().exp())

    spent, step, curve = 0.0, 0, [(0.0, 0, perplexity())]
    for part in range(1, 9):
        began = time.perf_counter()
        while spent + time.perf_counter() - began < part * SECONDS / 8:
            rows = examples[torch.randint(len(examples), (BATCH,))]
            optimizer.zero_grad()
            loss(query(rows), rows[:, 2]).backward()
            optimizer.step()
            step += 1
        spent += time.perf_counter() - began
        curve.append((spent, step, perplexity()))
    return query, curve


trained = {name: train(loss) for name, loss in losses.items()}
for name, (_, curve) in trained.items():
    seconds, steps, reached = curve[-1]
    print(f"{name:16} {1000 * seconds / steps:7.2f} ms a step, {steps:6,} steps, perplexity {reached:7.1f}")

# %% [markdown]
# In the same time the sampled softmax makes many times as many updates. With a million classes a step of the full
# softmax would take seventy times as long, and one of the sampled softmax about as long as here.

# %%
print("seconds   " + "   ".join(trained))
for full, sampled in zip(*(curve for _, curve in trained.values()), strict=True):
    print(f"{full[0]:7.1f}   {full[2]:12.1f}   {sampled[2]:15.1f}")

# %% [markdown]
# ## What it learned
#
# `topk` goes through all classes and returns log P and ids of the best: what follows "if the"?

# %%
query, _ = trained["sampled softmax"]
best = losses["sampled softmax"].topk(query(torch.tensor([[ids["if"], ids["the"]]])), k=4)
for log_prob, number in zip(best.log_prob[0].tolist(), best.ids[0].tolist(), strict=True):
    print(f"if the {words[number]:10} {log_prob:.2f}")

# %% [markdown]
# Next: [the eight objectives and their samplers](../losses.md), [which negatives and how many](../negatives.md), [how
# far a gradient is from the exact one](../diagnostics.md), [inside DDP, Lightning and
# transformers](../frameworks.md).
