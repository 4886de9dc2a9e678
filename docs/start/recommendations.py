# %% [markdown]
# # Recommendations in five minutes
#
# From a log of who did what to recommendations, and to numbers that say how good they are. Install with `pip install
# logq` and run the cells one after the other, or this file as a program.
#
# The log comes with Python: each function of its standard library is a user, and the functions that it calls are
# items, in the order of the source. A log of yours is a file, `Interactions.from_csv("log.csv")` (extra `logs`), a
# data frame, `from_frame(frame)`, or arrays, `from_arrays(users, items, times)`.

# %%
from logq.logs import leave_one_out, python_calls

log = python_calls()
log

# %% [markdown]
# ## Hold something out
#
# The last item of each user is for the test, and the one before for validation, which ends the training.

# %%
split = leave_one_out(log)
split

# %% [markdown]
# ## Something to beat
#
# The most popular items, the same for everyone, and items that occur together. Both take a moment. All items are
# ranked, so no metric is sampled; intervals show how much the numbers would vary with other users.

# %%
from logq import ItemKNN, Popularity

scores = {}
for baseline in (Popularity(), ItemKNN()):
    baseline.fit(split)
    scores[type(baseline).__name__] = baseline.evaluate(split, ks=(10,), progress=False)
scores["ItemKNN"]

# %% [markdown]
# ## A neural model
#
# The mean of a history, recent items more, through a network, with a sampled softmax. Settings that are
# not given are chosen from the log: the table that the model shows says which and why. The line below is updated while
# it trains, with the epoch, the loss and the last validation; `callbacks=` can watch too, or stop it.

# %%
from logq import YoutubeDNN

model = YoutubeDNN(epochs=30, seed=1).fit(split)
model

# %% [markdown]
# `model.training_log` has the numbers behind the curves, and `logq.to_frame(model)` turns them into a data frame.

# %%
scores["YoutubeDNN"] = model.evaluate(split, ks=(10,), progress=False)
for name, result in scores.items():
    interval = result.intervals["NDCG@10"]
    print(f"{name:12} NDCG@10 {result['NDCG@10']:.3f}  {interval.low:.3f} to {interval.high:.3f}")

# %% [markdown]
# `logq tune` searches for better settings, and [the benchmarks](../../benchmarks/README.md) have larger logs.
#
# ## Recommend
#
# For a user of the log, or for a history that no user has; items already seen are left out.

# %%
model.recommend(users=["zipfile.ZipFile.open"], k=5)

# %%
model.recommend(histories=[["open", ".read"], ["socket.socket", ".connect"]], k=5)

# %% [markdown]
# Why was an item recommended, and which items are similar to one?

# %%
print(model.explain("zipfile.ZipFile.open", model.recommend(users=["zipfile.ZipFile.open"], k=1).items[0, 0]))
model.similar_items("socket.socket", k=5)

# %% [markdown]
# ## Save
#
# A folder with one file of tensors and no code. `logq.load` opens whatever was saved.

# %%
import logq

model.save("model")
logq.load("model").recommend(histories=["open"], k=3).items

# %% [markdown]
# ## The same in a shell
#
# A log in a file is read by polars: `pip install 'logq[logs]'`.
#
#     logq demo items
#     logq train youtube-dnn logq-demo-items/calls.csv --user function --item calls --min-item 5 -o model
#     logq evaluate ranking model
#     logq recommend model --history open --history .read
#
# Next: [recommendations](../recommendations.md) from a file to an index, [how rankings are
# evaluated](../ranking-evaluation.md), [negatives](../negatives.md), [serving](../serving.md).
