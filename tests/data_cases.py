"""An instance of everything that the packages of data, vectors and indexes export, and what makes two of them equal."""

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from logq.compat import tensorflow as tf_nn
from logq.compat.chainer import BinaryHierarchicalSoftmax, BlackOut, NegativeSampling, WalkerAlias
from logq.diagnostics import ErrorAt, GradientErrors, GradientEstimate, Measured, NeededSamples
from logq.evaluation import (
    AnalogyResult,
    AnalogySection,
    Correlation,
    Interval,
    Likelihood,
    RankingScores,
    SimilarityResult,
)
from logq.logs import Features, Identifiers, Interactions, ItemGraph, NextItems, Sequences, leave_one_out
from logq.retrieval import (
    ExactIndex,
    FaissIndex,
    HnswlibIndex,
    IndexChoice,
    IndexRecall,
    IndexTrial,
    ItemIndex,
    SearchResult,
    SearchSetting,
    StoredItems,
    UsearchIndex,
)
from logq.text import CharacterNgrams, Corpus, Phrase, Phrases, PlainText, Vocabulary, WordCount
from logq.vectors import KeyedVectors, SentenceVectors, UnknownWord

__all__ = ["DATA", "INDEXES", "contents", "same"]

SENTENCES = [["new", "york", name] for name in "abcdef"]
VECTORS = torch.randn(20, 4, generator=torch.Generator().manual_seed(1))
MEASURED = Measured(0.5, 0.1)
ERROR = ErrorAt(4, MEASURED, MEASURED, MEASURED, MEASURED, MEASURED)


def log() -> Interactions:
    """A log with everything that one may have."""
    found = Interactions.from_arrays(
        ["ann", "bob", "ann", "ann"],
        [5, 7, 7, 9],
        [3, 1, 2, 4],
        [1, 2, 3, 4],
        columns={"device": ["a", None, "b", "a"]},
    )
    table = {"item": [5, 7], "tags": [["x", "y"], ["y"]], "price": [1.0, 2.0]}
    features = Features.from_frame(table, found.item_ids, buckets={"price": 2})
    return found.with_features(items=features)


def used(index: ItemIndex) -> ItemIndex:
    """An index from which an item was removed, and to which one was added."""
    index.remove([3])
    index.add([77], VECTORS[:1] * 0.5)
    return index


def phrases() -> Phrases:
    return Phrases(threshold=0.4).fit(SENTENCES)


INDEXES: dict[str, Callable[[], ItemIndex]] = {
    "exact": lambda: ExactIndex(VECTORS),
    "exact, cosine": lambda: ExactIndex(VECTORS, metric="cosine"),
    **{f"faiss-{kind}": lambda kind=kind: FaissIndex(VECTORS, kind=kind) for kind in ("flat", "ivf", "hnsw", "pq")},
    "usearch": lambda: UsearchIndex(VECTORS),
    **({"hnswlib": lambda: HnswlibIndex(VECTORS)} if importlib.util.find_spec("hnswlib") else {}),
}
TRIAL = IndexTrial("usearch", {"links": 48}, "ef_search", 64, 0.97, 0.003, 21_000.0, 1_200_000)

DATA: dict[str, Callable[[], object]] = {
    "logq.text CharacterNgrams": lambda: CharacterNgrams(2, 3, buckets=10),
    "logq.text Corpus": lambda: Corpus(SENTENCES, max_sentence=2),
    "logq.text PlainText": lambda: PlainText(SENTENCES, keep_case=True),
    "logq.text JoinedText": lambda: phrases().transform(SENTENCES),
    "logq.text Phrase": lambda: Phrase(("new", "york"), 12, 34.5),
    "logq.text Phrases": phrases,
    "logq.text Vocabulary": lambda: Vocabulary.build(SENTENCES, min_count=1),
    "logq.text WordCount": lambda: WordCount(Vocabulary(["a"], [2]), 3, 0, 0),
    "logq.logs Features": lambda: log().item_features,
    "logq.logs Identifiers": lambda: Identifiers(["tea", "rice"]),
    "logq.logs Interactions": log,
    "logq.logs ItemGraph": lambda: ItemGraph.from_edges([0, 1], [1, 0], [2.0, 3.0]),
    "logq.logs NextItems": lambda: NextItems(log(), max_length=2, context=["device"]),
    "logq.logs Sequences": lambda: Sequences(log(), max_length=2),
    "logq.logs Split": lambda: leave_one_out(log()),
    "logq.vectors KeyedVectors": lambda: KeyedVectors(["a", "b"], VECTORS[:2], [3, 1]),
    "logq.vectors SentenceVectors": lambda: SentenceVectors(KeyedVectors(["a", "b"], VECTORS[:2], [3, 1])),
    "logq.vectors UnknownWord": lambda: UnknownWord("pyhton", ["snake", "python"]),
    "logq.evaluation AnalogyResult": lambda: AnalogyResult("3cosadd", (AnalogySection("family", 3, 4, 0),)),
    "logq.evaluation AnalogySection": lambda: AnalogySection("family", 3, 4, 0),
    "logq.evaluation Correlation": lambda: Correlation(0.65, 3e-30),
    "logq.evaluation Interval": lambda: Interval(0.1, 0.4),
    "logq.evaluation Likelihood": lambda: Likelihood(-3.0, 3, 1),
    "logq.evaluation RankingScores": lambda: RankingScores(
        (1,), {"HR@1": 0.5}, {"HR@1": Interval(0.0, 1.0)}, {"HR@1": np.array([1.0, np.nan])}, users=1
    ),
    "logq.evaluation SimilarityResult": lambda: SimilarityResult(Correlation(0.5, 0.1), Correlation(0.6, 0.1), 9, 1),
    **{f"logq.retrieval {name}": make for name, make in INDEXES.items()},
    **{f"logq.retrieval {name}, used": lambda make=make: used(make()) for name, make in INDEXES.items()},
    "logq.retrieval IndexRecall": lambda: IndexRecall(0.98, 1000, 10),
    "logq.retrieval IndexChoice": lambda: IndexChoice(ExactIndex(VECTORS), TRIAL, TRIAL, (TRIAL,)),
    "logq.retrieval IndexTrial": lambda: TRIAL,
    "logq.retrieval SearchSetting": lambda: SearchSetting("ef_search", 64, 1000),
    "logq.retrieval SearchResult": lambda: SearchResult(torch.tensor([[0.5]]), torch.tensor([[7]])),
    "logq.retrieval StoredItems": lambda: StoredItems(np.array([3]), np.ones((1, 2), np.float32), {"city": ["Rome"]}),
    "logq.diagnostics ErrorAt": lambda: ERROR,
    "logq.diagnostics GradientErrors": lambda: GradientErrors({"u": [ERROR]}, "self_normalized", 8, 9, 4, 1.0),
    "logq.diagnostics GradientEstimate": lambda: GradientEstimate(torch.ones(1, 2), torch.ones(1)),
    "logq.diagnostics Measured": lambda: MEASURED,
    "logq.diagnostics NeededSamples": lambda: NeededSamples(1251, "extrapolated", 1024),
    "logq.compat.chainer BinaryHierarchicalSoftmax": lambda: BinaryHierarchicalSoftmax(4, ((0, 1), 2)),
    "logq.compat.chainer BlackOut": lambda: BlackOut(4, [5, 2, 1], 2, seed=1),
    "logq.compat.chainer NegativeSampling": lambda: NegativeSampling(4, [5, 2, 1], 2, seed=1),
    "logq.compat.chainer WalkerAlias": lambda: WalkerAlias([5, 2, 1], seed=1),
    "logq.compat.tensorflow AccidentalHits": lambda: tf_nn.compute_accidental_hits([[3]], [3, 4], 1),
    "logq.compat.tensorflow SampledValues": lambda: tf_nn.uniform_candidate_sampler([[3]], 1, 2, True, 9, seed=1),
}
"""Where it is exported and what it is -> an instance."""


def contents(value: Any) -> Any:
    """What equal objects agree in: the results of a search, the draws of a sampler, or the attributes."""
    if isinstance(value, ItemIndex):
        return [value.ids, *value.search(VECTORS, k=5, exclude=([2], [0] + 20 * [1]))]
    if isinstance(value, WalkerAlias):
        return [value.sample(9) for _ in range(2)]
    if isinstance(value, BlackOut | NegativeSampling):
        return [value.W, value.sampler.sample(9), value(VECTORS[:3], torch.tensor([0, 2, 1]))]
    if isinstance(value, BinaryHierarchicalSoftmax):
        return [value.W, value.leaves, value(VECTORS[:3], torch.tensor([0, 2, 1]))]
    if isinstance(value, UnknownWord):
        return [str(value), value.word, value.suggestions]
    return vars(value) if hasattr(value, "__dict__") and not isinstance(value, tuple) else value


def same(one: Any, other: Any) -> bool:
    """Whether two objects have the same type and contents, down to every array in them."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, np.ndarray):
        equal = np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
        return equal and one.dtype == other.dtype and one.flags.writeable == other.flags.writeable
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if type(one).__module__.startswith("logq."):
        return same(contents(one), contents(other))
    return bool(one == other)
