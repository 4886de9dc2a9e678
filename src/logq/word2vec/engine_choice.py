"""EngineChoice: which engine of word2vec can train with given arguments, and what the others lack."""

import os
from collections.abc import Collection
from importlib.util import find_spec
from typing import Any

from logq._machine import available_cores
from logq.training.config import AUTO
from logq.word2vec.subword_config import SubwordConfig

__all__ = ["FUSED", "HIERARCHICAL_SOFTMAX", "EngineChoice"]

HIERARCHICAL_SOFTMAX = "hierarchical_softmax"
"""The objective of a model with hs=True; it is a tree, and no objective of logq.objectives."""

FUSED = {
    ("skip_gram", "negative_sampling", "unigram"),
    ("skip_gram", HIERARCHICAL_SOFTMAX, None),
    ("cbow", "negative_sampling", "unigram"),
    ("cbow", HIERARCHICAL_SOFTMAX, None),
}
"""(model, objective, sampler) for which there is a fused kernel. Everything else runs in plain PyTorch."""

TRITON = {(kind, "negative_sampling", "unigram") for kind in ("skip_gram", "cbow")}
"""Those for which there is a kernel for GPUs."""

LARGEST_WINDOW, MOST_NEGATIVES = 63, 127
"""On a GPU."""


class EngineChoice(SubwordConfig):
    """Which engine trains with the arguments that Word2VecConfig has.

    Example:
        >>> from logq import Word2Vec
        >>> Word2Vec(sampler="uniform").why_plain
        'negative_sampling with uniform has no compiled kernel'
    """

    window: int
    shrink_windows: bool
    sg: bool
    hs: bool
    shared_negatives: bool | None
    threads: int | None
    seed: int | None
    engine: str
    batch_size: int | None
    device: Any
    _deterministic: bool

    @property
    def samples(self) -> bool:
        """Whether the objective draws negatives."""
        return not self.hs and super().samples

    @property
    def kind(self) -> str:
        """The name of the model, "skip_gram" or "cbow"."""
        return "skip_gram" if self.sg else "cbow"

    @property
    def words_around(self) -> int:
        """How many words are in a window on average, where sentences are long."""
        return self.window + 1 if self.shrink_windows else 2 * self.window

    def _lacks(self, kernels: Collection[tuple[str, str, str | None]]) -> str:
        sampler = self.sampler if isinstance(self.sampler, str | None) else "a sampler of your own"
        if (self.kind, self.objective, sampler) in kernels:
            return ""
        return " with ".join(part for part in (self.objective, sampler) if part)

    @property
    def why_not_fused(self) -> str:
        """What the compiled engine has no kernel for, or "" if it can train."""
        if lacks := self._lacks(FUSED):
            return lacks
        if self.device != "cpu":
            return f"the device {self.device}"
        return "batches" if self.batch_size is not None else ""

    @property
    def why_not_triton(self) -> str:
        """Why the engine for GPUs cannot train, a clause; "" if it can."""
        lacks = self._lacks(TRITON)
        if not lacks and self.shared_negatives is False:
            lacks = "separate negatives for each pair"
        if not lacks and self.subwords:
            lacks = "subwords"
        if not lacks and self.batch_size is not None:
            lacks = "batches"
        if not lacks and self.window > LARGEST_WINDOW:
            lacks = f"windows above {LARGEST_WINDOW}"
        if not lacks and self.num_sampled != AUTO and self.num_sampled > MOST_NEGATIVES:
            lacks = f"more than {MOST_NEGATIVES} negatives"
        if lacks:
            return f"there is no GPU kernel for {lacks}"
        if not self._on_gpu and not (self.device == "cpu" and os.environ.get("TRITON_INTERPRET") == "1"):
            return f"it trains on a GPU such as device='cuda', and device is {str(self.device)!r}"
        if find_spec("triton") is None:
            return "the package triton is not installed"
        if self._deterministic:
            return "the order of its updates varies, which torch.use_deterministic_algorithms forbids"
        return ""

    @property
    def why_not_partitioned(self) -> str:
        """What cannot be trained in partitions, or "" if it can."""
        if not self.sg:
            return "CBOW"
        if self.hs:
            return "hierarchical softmax"
        if self.engine_name != "fused":
            return f"the engine {self.engine_name}"
        if self.subwords:
            return "subwords"
        return "negatives of each pair's own" if self.shared_negatives is False else ""

    @property
    def why_plain(self) -> str:
        """Why plain PyTorch trains without having been asked for, a clause; "" if it does not."""
        if self.engine != "auto" or self.engine_name != "plain":
            return ""
        return self.why_not_triton if self._on_gpu else f"{self.why_not_fused} has no compiled kernel"

    @property
    def _on_gpu(self) -> bool:
        return str(self.device).partition(":")[0] == "cuda"

    @property
    def engine_name(self) -> str:
        """The engine that trains, "fused", "triton" or "plain"."""
        if self.engine == "triton" or (self.engine == "auto" and self._on_gpu and not self.why_not_triton):
            return "triton"
        return "plain" if self.engine == "plain" or self.why_not_fused else "fused"

    @property
    def used_threads(self) -> int:
        """How many threads train: `threads`, or what that is by default."""
        if self.threads is not None:
            return self.threads
        return 1 if self.seed is not None or self.engine_name == "plain" else available_cores()
