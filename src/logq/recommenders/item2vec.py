"""Item2Vec: word2vec over the histories of users; Barkan and Koenigstein, 2016."""

import math
from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from logq.logs.interactions import Interactions
from logq.recommenders.encoding.row_means import mean_of_rows
from logq.recommenders.events.held_out import HeldOut
from logq.recommenders.events.histories import Histories
from logq.recommenders.events.session_windows import session_corpus
from logq.recommenders.neural.neural_config import RECENCY, Gap, MaxLength, Recency
from logq.recommenders.ranking.recommender import Recommender
from logq.samplers.registry import SamplerChoice
from logq.training.automatic_settings import Rules
from logq.training.config import AUTO, Above, AtLeast, Auto, Help, TriedValues, configclass
from logq.training.estimator import FitOptions
from logq.training.options import DeviceConfig, ObjectiveConfig, Seed
from logq.word2vec.word2vec import Word2Vec

__all__ = ["Item2Vec", "Item2VecConfig"]

NEVER_SEEN = -100.0
"""The score of items without an event, such as those of which only the test has some: their vectors are zeros, and 0
would be a good score for an item that does not go with what a user did."""


@configclass(group="Model")
class Item2VecConfig(DeviceConfig, ObjectiveConfig):
    """The arguments of Item2Vec; those of training are those of logq.Word2Vec, with other defaults.

    Example:
        >>> Item2VecConfig(64, window=10).epochs, Item2VecConfig(epochs=3).epochs
        ('auto', 3)
    """

    default_sampler: ClassVar = "unigram"
    rules: ClassVar[Rules] = {"epochs": lambda log, own: log.skip_gram_epochs(least=20)}

    dim: Annotated[int, AtLeast(1), Help("Dimension of the vectors.")] = field(default=128, kw_only=False)
    window: Annotated[
        int,
        AtLeast(1),
        Help(
            "Maximum distance of items that count as neighbors.",
            more="A set without order wants one as wide as the set.",
        ),
    ] = 5
    ordered: Annotated[
        bool,
        Help(
            "Whether the order of events matters; without it each session is shuffled once.",
            typed="Keep the order of events, or shuffle each session once.",
            flag="--ordered/--unordered",
        ),
    ] = True
    gap: Gap = None
    recency: Recency = RECENCY
    popularity: Annotated[float, TriedValues(0.0, 1.0), Help("Weight of the log count of an item in its score.")] = 0.5
    max_length: MaxLength = 50
    objective: Annotated[str, Help(more="Others than negative sampling run in plain PyTorch.")] = "negative_sampling"
    sampler: Annotated[SamplerChoice | None, Help(default="unigram")] = None
    num_sampled: Annotated[int, TriedValues(2, 20), Help("Number of negatives per pair.", aliases=("negatives",))] = 5
    unigram_power: Annotated[
        float, Help(more="It may be below 0; see Caselles-Dupre et al. 2018.", aliases=("power",))
    ] = 0.75
    sample: Annotated[
        float, AtLeast(0), Help("Downsample items more frequent than this at random; 0 keeps all.", group="Training")
    ] = 0.0
    epochs: Annotated[
        int, AtLeast(1), Help("Passes over the log.", group="Training"), Auto("by the number of events of an item")
    ] = AUTO
    lr: Annotated[float, Above(0), TriedValues(0.005, 0.1), Help("Learning rate at the start.", group="Training")] = (
        0.025
    )
    threads: Annotated[
        int | None,
        AtLeast(1),
        Help(
            "Threads of the compiled engine; None takes one where there is a seed, and all otherwise.",
            typed="Threads of the compiled engine.",
            default="1 with a seed, else all cores",
            group="Training",
        ),
    ] = None
    seed: Seed = None

    def word2vec(self) -> Word2Vec:
        """What trains the vectors.

        Raises:
            ArgumentError, ArgumentTypeError: Word2Vec does not take these arguments together.
        """
        names = "window num_sampled sample unigram_power epochs lr objective sampler threads seed device"
        known = {name: value for name in names.split() if (value := getattr(self, name)) != AUTO}
        return Word2Vec(self.dim, min_count=1, **known)


class Item2Vec(Item2VecConfig, Recommender):
    """Learns items as word2vec learns words: an item is predicted from those around it in a session.

        score(u, i) = sum_j w_j <v_j, v'_i> + popularity log(count_i),    w_j = recency^(items after j) / sum

    v are the vectors of items and v' those that they are found by, j the last `max_length` items of the user. Skip-gram
    with negative sampling learns log P(i | j) - unigram_power log(count_i) but for a constant, so popularity =
    unigram_power would rank by P; a little less did better on the logs that we tried. Items without an event, which
    only a test may have, rank last. `similar_items` compares v. Sessions are those of columns["session"], else all that
    a user did. Training is logq.Word2Vec's, on its compiled engine where it can be; validation parts are not used.

    Attributes:
        mean_loss: of a pair, in nats, over the last epoch.

    Raises:
        ArgumentError, ArgumentTypeError: an argument is not as described. `fit` raises ValueError where no session has
            two items.

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

    shares_work = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.word2vec()  # which checks what concerns several arguments
        self.inputs: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self.outputs: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self.mean_loss = 0.0

    def _fit(self, log: Interactions, validation: HeldOut | None, options: FitOptions) -> None:
        codes, corpus = session_corpus(log, gap=self.gap, shuffle=None if self.ordered else self.seed or 0)
        engine = self.word2vec()
        with corpus:
            engine.fit(
                corpus,
                progress=options.progress,
                checkpoint=options.checkpoint,
                checkpoint_minutes=options.checkpoint_minutes,
                resume=options.resume,
                callbacks=options.callbacks,
            )
        self.mean_loss = engine.mean_loss
        self.metadata = {"mean_loss": self.mean_loss if math.isfinite(self.mean_loss) else None}
        self.inputs = np.zeros((log.num_items, self.dim), np.float32)
        self.outputs = np.zeros_like(self.inputs)
        self.inputs[codes], self.outputs[codes] = engine.vectors.vectors, engine.output_vectors

    def _queries(self, histories: Histories) -> Tensor:
        history = torch.from_numpy(histories.padded(self.max_length)).to(self.device)
        queries = mean_of_rows(torch.from_numpy(self.inputs).to(self.device), history, self.recency)
        return torch.cat([queries, queries.new_ones(len(queries), 1)], dim=1)

    def _item_rows(self) -> Tensor:
        # What counts add to a score is one more number of the vectors, which queries have a 1 for.
        counts = self.known.item_counts()
        logs = np.log(np.maximum(counts, 1), dtype=np.float32) * np.float32(self.popularity)
        logs[counts == 0] = NEVER_SEEN
        return torch.from_numpy(np.column_stack([self.outputs, logs])).to(self.device)

    def _vectors(self) -> Tensor:
        return torch.from_numpy(self.inputs).to(self.device)

    def state(self) -> dict[str, NDArray[Any]]:
        """What was learned: both tables."""
        return {"inputs": self.inputs, "outputs": self.outputs}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore what `state` returned."""
        expected = (self.known.num_items, self.dim)
        for name in ("inputs", "outputs"):
            array = state[name]
            if array.dtype != np.float32 or array.shape != expected:
                raise ValueError(f"expected {name!r} float32 {expected}, got {array.dtype} {array.shape}")
        self.inputs, self.outputs = state["inputs"], state["outputs"]
        loss = self.metadata.get("mean_loss")  # files of 0.1 have none
        self.mean_loss = math.nan if loss is None else float(loss)
