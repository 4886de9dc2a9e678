"""Small trials of what a plain user does: word vectors, recommendations, a loss, and files."""

import tempfile
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["TRIALS", "Attempt", "run_trials"]


class Attempt(NamedTuple):
    """Something that was tried.

    Args:
        name: of what.
        error: what it ended with; "" where it works.

    Example:
        >>> Attempt("word vectors", "").error
        ''
    """

    name: str
    error: str


def run_trials() -> list[Attempt]:
    """Try everything, whatever fails."""
    found: list[Attempt] = []
    for name, attempt in TRIALS.items():
        error = ""
        try:
            attempt()
        except Exception as failure:
            error = f"{type(failure).__name__}: {' '.join(str(failure).split())}"
        found.append(Attempt(name, error))
    return found


def _words() -> None:
    from logq.word2vec.word2vec import Word2Vec

    text = [["so", "far", "so", "good"]] * 20
    Word2Vec(8, min_count=1, sample=0, seed=1).fit(text, progress=False).vectors.most_similar("so")


def _recommendations() -> None:
    from logq.logs.interactions import Interactions
    from logq.recommenders.youtube_dnn import YoutubeDNN

    log = Interactions.from_sessions([["tea", "milk", "cup"], ["cup", "tea", "milk"]] * 4)
    model = YoutubeDNN(dim=8, hidden=(8,), num_sampled=2, epochs=1, seed=1).fit(log, progress=False)
    model.recommend(histories=["tea"], k=1)


def _loss() -> None:
    import torch

    from logq.nn import SampledSoftmaxLoss
    from logq.samplers import LogUniform

    loss = SampledSoftmaxLoss(8, 1000, LogUniform(1000, num_sampled=20, seed=1))
    loss(torch.ones(4, 8), torch.arange(4)).backward()


def _files() -> None:
    from logq.vectors.keyed_vectors import KeyedVectors

    with tempfile.TemporaryDirectory() as folder:
        KeyedVectors(["a"], [[1.0]]).save(folder)
        KeyedVectors.load(folder)


TRIALS: dict[str, Callable[[], None]] = {
    "word vectors": _words,
    "recommendations": _recommendations,
    "a sampled loss": _loss,
    "files": _files,
}
