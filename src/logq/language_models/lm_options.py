"""LanguageModelOptions: the keyword arguments that neural language models have in common, and their checks."""

from collections.abc import Sequence
from typing import Any, TypedDict

import torch

from logq._arguments import check_bool, check_float, check_int, shown
from logq.language_models.output_names import ADAPTIVE, check_cutoffs, check_output, samples
from logq.samplers.registry import SamplerChoice, check_sampler
from logq.training.options import DECAYS, TrainingConfig

__all__ = ["CUSTOM", "LanguageModelOptions", "LanguageModelSettings"]

CUSTOM = "custom"
"""The sampler of a loaded model that was trained with a function: files do not hold functions."""


class LanguageModelOptions(TypedDict, total=False):
    """The keyword arguments that all neural language models take; what they mean stands at NeuralLanguageModel."""

    objective: str
    sampler: SamplerChoice | None
    num_sampled: int
    unigram_power: float
    shared_negatives: bool
    replacement: bool
    log_q: bool
    cutoffs: Sequence[int] | None
    batch_size: int
    epochs: int
    optimizer: str
    lr: float
    weight_decay: float
    clip: float | None
    decay: str
    warmup: int
    dropout: float
    min_count: int
    max_vocab: int | None
    patience: int | None
    sparse: bool | None
    precision: str
    threads: int | None
    seed: int | None
    device: torch.device | str


class LanguageModelSettings:
    """The options of a neural language model as attributes of the same names, checked, with defaults.

    Example:
        >>> settings = LanguageModelSettings()
        >>> settings.take_options({"lr": 0.01})
        >>> settings.lr, settings.objective, settings.sampler
        (0.01, 'sampled_softmax', 'log_uniform')
    """

    def take_options(self, options: LanguageModelOptions) -> None:
        """Check them, and keep them.

        Raises:
            TypeError, ValueError: an argument is unknown, or not as NeuralLanguageModel describes it.
        """
        unknown = sorted(set(options) - set(LanguageModelOptions.__annotations__))
        if unknown:
            raise TypeError(f"{type(self).__name__}: unknown argument {unknown[0]!r}")
        self.objective = check_output(options.get("objective", "sampled_softmax"))
        self.sampler = self._check_sampler(options.get("sampler"))
        self.num_sampled = check_int("num_sampled", options.get("num_sampled", 200))
        self.unigram_power = check_float("unigram_power", options.get("unigram_power", 0.75))
        self.shared_negatives = check_bool("shared_negatives", options.get("shared_negatives", True))
        self.replacement = check_bool("replacement", options.get("replacement", False))
        self.log_q = check_bool("log_q", options.get("log_q", True))
        self.cutoffs = check_cutoffs(options.get("cutoffs"))
        if self.cutoffs is not None and self.objective != ADAPTIVE:
            raise ValueError(f"cutoffs: {self.objective} has no clusters, expected None, got {self.cutoffs}")
        self.batch_size = check_int("batch_size", options.get("batch_size", 64))
        self.epochs = check_int("epochs", options.get("epochs", 10))
        self.optimizer = TrainingConfig.options()["optimizer"].check(options.get("optimizer", "adam"))
        self.lr = check_float("lr", options.get("lr", 1e-3), above=0)
        self.weight_decay = check_float("weight_decay", options.get("weight_decay", 0.0), at_least=0)
        clip, patience, max_vocab = options.get("clip", 1.0), options.get("patience", 3), options.get("max_vocab")
        self.clip = None if clip is None else check_float("clip", clip, above=0)
        self.decay = options.get("decay", "constant")
        if self.decay not in DECAYS:
            raise ValueError(f"decay: expected one of {', '.join(DECAYS)}, got {shown(self.decay)}")
        self.warmup = check_int("warmup", options.get("warmup", 0), 0)
        self.dropout = check_float("dropout", options.get("dropout", 0.2), at_least=0, at_most=0.999)
        self.min_count = check_int("min_count", options.get("min_count", 1))
        self.max_vocab = None if max_vocab is None else check_int("max_vocab", max_vocab, 3)
        self.patience = None if patience is None else check_int("patience", patience)
        sparse, threads, seed = options.get("sparse"), options.get("threads"), options.get("seed")
        self.sparse = None if sparse is None else check_bool("sparse", sparse)
        self.precision = TrainingConfig.options()["precision"].check(options.get("precision", "float32"))
        self.threads = None if threads is None else check_int("threads", threads)
        self.seed = None if seed is None else check_int("seed", seed, 0)

    def option_settings(self) -> dict[str, Any]:
        """The options, as JSON can hold them; a sampler of one's own is CUSTOM, the device is left out."""
        names = set(LanguageModelOptions.__annotations__) - {"device", "sampler"}
        sampler = self.sampler if isinstance(self.sampler, str | None) else CUSTOM
        return {**{name: getattr(self, name) for name in sorted(names)}, "sampler": sampler}

    def _check_sampler(self, choice: SamplerChoice | None) -> Any:
        if not samples(self.objective):
            if choice is not None:
                raise ValueError(f"sampler: {self.objective} draws no words and takes no sampler, got {choice!r}")
            return None
        return CUSTOM if choice == CUSTOM else check_sampler("log_uniform" if choice is None else choice)
