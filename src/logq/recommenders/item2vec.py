"""Item2Vec: word2vec over what users did; Barkan and Koenigstein, 2016."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from logq._arguments import check_bool, check_float, check_int
from logq.logs import Interactions
from logq.recommenders.encoders import recency_weights
from logq.recommenders.fitting import FitOptions, HeldOut
from logq.recommenders.histories import Histories
from logq.recommenders.recommender import Recommender
from logq.recommenders.session_windows import session_corpus
from logq.samplers.registry import SamplerChoice
from logq.word2vec import Word2Vec

__all__ = ["Item2Vec"]

NEVER_SEEN = -100.0
"""The score of items without an event, such as those of which only the test has some: their vectors are zeros, and 0
would be a good score for an item that does not go with what a user did."""


class Item2Vec(Recommender):
    """Learns items as word2vec learns words: an item is to be found from those around it in a session.

        score(u, i) = sum_j w_j <v_j, v'_i> + popularity log(count_i),    w_j = recency^(items after j) / sum

    v are the vectors of items and v' those that they are found by, j the last `max_length` items of the user. Skip-gram
    with negative sampling learns log P(i | j) - power log(count_i) but for a constant, so popularity = power would rank
    by P; a little less did better on the logs that we tried. Items without an event, which only a test may have, rank
    last. `similar_items` compares v. Sessions are those of
    columns["session"], else all that a user did. Training is logq.Word2Vec's, on its compiled engine where it can be;
    validation parts are not looked at.

    Args:
        dim: D, the width of the vectors.
        window: how far items see each other; a set without order wants one as wide as the set.
        negatives: k, sampled items for each pair.
        sample: thins out frequent items, as for Word2Vec; 0 keeps all.
        power: of the counts, in the law of the negatives; it may be below 0 (Caselles-Dupre et al. 2018).
        epochs: passes over the log.
        lr: learning rate at the start.
        ordered: whether the order of events matters; without it each session is shuffled once.
        gap: the longest pause within a session, in the unit of the log's times; None for no limit.
        recency: in (0, 1], how much less an item of a history counts than the one after it.
        popularity: how much counts of items add to scores.
        max_length: the longest part of a history that is looked at, the most recent.
        objective: a row of the table in logq.objectives by name; other than negative sampling runs in plain PyTorch.
        sampler: of the negatives, as for Word2Vec.
        threads: of the compiled engine; None takes one where there is a `seed`, and all otherwise.
        seed: of everything random; None takes one from the operating system.
        device: where it answers.

    Attributes:
        mean_loss: of a pair, in nats, over the last epoch.

    Raises:
        TypeError, ValueError: an argument is not as described. `fit` raises ValueError where no session has two items.

    References:
        Barkan and Koenigstein, Item2Vec: Neural Item Embedding for Collaborative Filtering, 2016, arXiv:1603.04259.
        Caselles-Dupre, Lesaint and Royo-Letelier, Word2vec applied to Recommendation: Hyperparameters Matter, RecSys
        2018, arXiv:1804.04212.

    Example:
        >>> log = Interactions.from_sessions([["tea", "milk", "cup"], ["nut", "oil", "salt"]] * 50)
        >>> model = Item2Vec(dim=8, epochs=20, seed=1).fit(log, progress=False)
        >>> sorted(model.similar_items("milk", k=2).items.tolist())
        ['cup', 'tea']
    """

    def __init__(
        self,
        dim: int = 128,
        *,
        window: int = 5,
        negatives: int = 5,
        sample: float = 0.0,
        power: float = 0.75,
        epochs: int = 20,
        lr: float = 0.025,
        ordered: bool = True,
        gap: float | None = None,
        recency: float = 0.6,
        popularity: float = 0.5,
        max_length: int = 50,
        objective: str = "negative_sampling",
        sampler: SamplerChoice | None = None,
        threads: int | None = None,
        seed: int | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(seed=seed, device=device)
        self._options: dict[str, Any] = {
            "dim": dim,
            "window": window,
            "negatives": negatives,
            "sample": sample,
            "power": power,
            "epochs": epochs,
            "lr": lr,
            "objective": objective,
            "sampler": sampler,
            "threads": threads,
        }
        self._engine()  # which checks them
        self.dim = int(dim)
        self.ordered = check_bool("ordered", ordered)
        self.gap = None if gap is None else check_float("gap", gap, at_least=0)
        self.recency = check_float("recency", recency, above=0, at_most=1)
        self.popularity = check_float("popularity", popularity)
        self.max_length = check_int("max_length", max_length)
        self.inputs: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self.outputs: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self.mean_loss = 0.0

    def _engine(self) -> Word2Vec:
        return Word2Vec(**self._options, min_count=1, seed=self.seed)

    def __repr__(self) -> str:
        fitted = f", {self.seen.num_items} items" if hasattr(self, "seen") else ""
        return f"Item2Vec(dim={self.dim}, {self._options['objective']}{fitted})"

    def settings(self) -> dict[str, Any]:
        """The arguments, as JSON can hold them; a sampler of one's own is "custom"."""
        sampler = self._options["sampler"]
        own = {name: getattr(self, name) for name in ("ordered", "gap", "recency", "popularity", "max_length", "seed")}
        return {**self._options, "sampler": sampler if isinstance(sampler, str | None) else "custom", **own}

    def _fit(self, log: Interactions, validation: HeldOut | None, options: FitOptions) -> None:
        codes, corpus = session_corpus(log, gap=self.gap, shuffle=None if self.ordered else self.seed or 0)
        engine = self._engine()
        with corpus:
            engine.fit(
                corpus,
                progress=options.progress,
                checkpoint=options.checkpoint,
                checkpoint_minutes=options.checkpoint_minutes,
                resume=options.resume,
            )
        self.mean_loss = engine.mean_loss
        self.inputs = np.zeros((log.num_items, self.dim), np.float32)
        self.outputs = np.zeros_like(self.inputs)
        self.inputs[codes], self.outputs[codes] = engine.vectors.vectors, engine.output_vectors

    def _queries(self, histories: Histories) -> Tensor:
        history = torch.from_numpy(histories.padded(self.max_length)).to(self.device)
        weights = recency_weights(history, self.recency)
        vectors = torch.from_numpy(self.inputs).to(self.device)[history.clamp(min=0)]
        queries = (weights[:, None].to(vectors.dtype) @ vectors)[:, 0]
        return torch.cat([queries, queries.new_ones(len(queries), 1)], dim=1)

    def _item_rows(self) -> Tensor:
        # What counts add to a score is one more number of the vectors, which queries have a 1 for.
        counts = self.seen.item_counts()
        logs = np.log(np.maximum(counts, 1), dtype=np.float32) * np.float32(self.popularity)
        logs[counts == 0] = NEVER_SEEN
        return torch.from_numpy(np.column_stack([self.outputs, logs])).to(self.device)

    def _vectors(self) -> Tensor:
        return torch.from_numpy(self.inputs).to(self.device)

    def state(self) -> dict[str, NDArray[Any]]:
        """What was learned: both tables."""
        return {"inputs": self.inputs, "outputs": self.outputs}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `state` gave."""
        expected = (self.seen.num_items, self.dim)
        for name in ("inputs", "outputs"):
            array = state[name]
            if array.dtype != np.float32 or array.shape != expected:
                raise ValueError(f"expected {name!r} float32 {expected}, got {array.dtype} {array.shape}")
        self.inputs, self.outputs = state["inputs"], state["outputs"]
