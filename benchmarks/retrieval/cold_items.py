"""Items that nobody has met: are they found by what is known of them, on MovieLens-100K and Beauty?

    python benchmarks/retrieval cold-items --data ../data/logs

One item in ten is taken out of the log, chosen at random. A model learns from the rest, and then gets these items by
their features alone (`add_items`). Each user who met one of them later is asked about with the history before it: which
of the new items come first? Chance and the popularity that the new items had afterwards, which nobody knows when they
arrive, are what to compare with.

Features of MovieLens: genres, the year as a number, and a vector of the title, the mean of those of its words and
genres, which logq's word2vec learned from all titles. Features of Beauty: attributes (categories and brands).
"""

import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from logq import Word2Vec
from logq.logs import Features, Identifiers, Interactions
from logq.recommenders import TwoTower, YoutubeDNN

SHARE, K, ALL, SEED, EPOCHS = 0.1, 10, 50, 1, 12
LOGS = ("ml-100k", "beauty-s3rec")
COMMON: dict[str, Any] = {"dim": 64, "seed": SEED, "id_dropout": 0.3, "patience": None, "dropout": 0.2}
YOUTUBE: dict[str, Any] = {"hidden": (128,), "num_sampled": 512, **COMMON}
MODELS: dict[str, Any] = {
    "YoutubeDNN, sum": lambda epochs: YoutubeDNN(content="sum", epochs=epochs, **YOUTUBE),
    "YoutubeDNN, network": lambda epochs: YoutubeDNN(content="network", epochs=epochs, **YOUTUBE),
    "TwoTower, sum": lambda epochs: TwoTower(content="sum", epochs=epochs, **COMMON),
}


def title_words(title: str) -> list[str]:
    """The words of a title in small letters.

    Example:
        >>> title_words("Toy Story (1995)")
        ['toy', 'story']
    """
    return re.findall(r"[a-z']+", title.lower())


def movies(folder: Path, ids: Identifiers) -> Features:
    """Genres, years and vectors of titles of MovieLens-100K."""
    table = [line.split("\t") for line in (folder / "ml-100k" / "ml-100k.item").read_text("latin-1").splitlines()[1:]]
    items = [int(row[0]) for row in table]
    genres = [row[3].split() for row in table]
    years = [float(row[2]) if row[2].isdigit() else None for row in table]
    texts = [title_words(row[1]) + [f"#{genre}" for genre in row[3].split()] for row in table]
    words = Word2Vec(dim=32, epochs=30, min_count=2, seed=SEED, threads=1).fit(texts, progress=False).vectors
    vectors = np.zeros((len(items), 32), dtype=np.float32)
    for row, text in enumerate(texts):
        known = [words[word] for word in text if word in words]
        if known:
            vectors[row] = np.mean(known, axis=0)
    found = Features.from_frame({"item": items, "genres": genres, "year": years}, ids, numeric=["year"])
    return found.joined(Features.from_vectors(items, vectors, ids, name="title"))


def read(name: str, folder: Path) -> tuple[Interactions, Any]:
    """A log, and what makes the features of some ids of its items."""
    if name == "ml-100k":
        log = Interactions.from_csv(folder / "ml-100k" / "ml-100k.inter")
        return log, lambda ids: movies(folder, ids)
    path = folder / "beauty-s3rec"
    lines = (path / "Beauty.txt").read_text().splitlines()  # a user and the items of the user
    log = Interactions.from_sessions([list(map(int, line.split()))[1:] for line in lines])
    return log, lambda ids: Features.from_json(path / "Beauty_item2attributes.json", ids, min_count=2)


def table(folder: Path, logs: Sequence[str], only: Sequence[str], epochs: int | None) -> str:
    """How well models that were trained without a tenth of the items find them, as Markdown.

    Args:
        folder: of the logs.
        logs: some of LOGS.
        only: models that begin like one of these, in small letters; all of them without any.
        epochs: of each training; None for 12.
    """
    begin = tuple(name.lower() for name in only)
    chosen = [name for name in MODELS if not begin or name.lower().startswith(begin)]
    return "\n\n".join("\n".join(measured(name, folder, epochs or EPOCHS, chosen)) for name in logs)


def measured(name: str, folder: Path, epochs: int, models: Sequence[str]) -> Iterator[str]:
    """Train each model without a tenth of the items of a log; the lines of a table of how well it finds them."""
    log, features_of = read(name, folder)
    rng = np.random.default_rng(SEED)
    keys = np.asarray(log.item_ids.keys)
    is_cold = np.zeros(len(keys), dtype=np.bool_)
    is_cold[rng.choice(len(keys), int(SHARE * len(keys)), replace=False)] = True
    codes, users = np.asarray(log.items, dtype=np.int64), np.asarray(log.users, dtype=np.int64)
    warm = ~is_cold[codes]
    train = Interactions.from_arrays(users[warm], keys[codes[warm]])
    train = train.with_features(items=features_of(train.item_ids))
    cold = keys[is_cold]
    histories, truths = [], []
    for user in range(log.num_users):
        row = codes[log.offsets[user] : log.offsets[user + 1]]
        met = np.flatnonzero(is_cold[row])
        before = row[: met[0]] if len(met) else row[:0]
        if len(before):
            histories.append(keys[before].tolist())
            truths.append(set(keys[row[met]].tolist()))
    afterwards = np.bincount(codes, minlength=len(keys))[is_cold]
    best = cold[np.argsort(-afterwards, kind="stable")[:K]]
    oracle = np.mean([len(truth & set(best.tolist())) / min(K, len(truth)) for truth in truths])
    yield (
        f"{name}: {len(train):,} events of {train.num_items:,} items; {len(cold):,} new ones, {len(truths):,} users, "
        f"{epochs} epochs, seed {SEED}"
    )
    yield ""
    yield f"| | recall@{K} among the new | recall@{ALL} among all | CPU s |"
    yield "|---|---:|---:|---:|"
    yield f"| chance | {K / len(cold):.4f} | | |"
    yield f"| their later popularity | {oracle:.4f} | | |"
    described = features_of(Identifiers(cold))
    for label in models:
        began = time.process_time()
        model = MODELS[label](epochs).fit(train, progress=False)
        raw: dict[str, Any] = {}
        for feature, coding in described.codings.items():
            values = described.values[feature]
            raw[feature] = [[coding.known.keys[c - 1] for c in row if c > 0] for row in np.atleast_2d(values.T).T]
        for feature, vectors in described.dense.items():
            scale = described.scales.get(feature)
            rows = vectors if scale is None else vectors[:, 0] * scale.std + scale.mean
            raw[feature] = list(rows)
        model.add_items(cold.tolist(), raw)
        found = model.recommend(histories=histories, k=K, allow=cold.tolist(), exclude_seen=False).items
        everything = model.recommend(histories=histories, k=ALL).items
        among = np.mean([len(t & {*row}) / min(K, len(t)) for t, row in zip(truths, found, strict=True)])
        whole = np.mean([len(t & {*row}) / min(ALL, len(t)) for t, row in zip(truths, everything, strict=True)])
        took = time.process_time() - began
        yield f"| {label} | {among:.4f} | {whole:.4f} | {took:.0f} |"
