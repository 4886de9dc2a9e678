"""NeuralOptions: the keyword arguments that the estimators of neural models have in common, and their checks."""

from typing import Any, ClassVar, TypedDict

import torch

from logq._arguments import check_bool, check_float, check_int, shown
from logq.objectives import OBJECTIVES, objective_name
from logq.samplers.registry import SamplerChoice, check_sampler
from logq.training.devices import check_precision
from logq.training.schedule import DECAYS

__all__ = ["METRICS", "NeuralOptions", "NeuralSettings"]

METRICS = ("hr", "recall", "ndcg", "mrr", "map")
"""What training can be stopped by."""


class NeuralOptions(TypedDict, total=False):
    """The keyword arguments that all neural recommenders take; what they mean stands at NeuralRecommender."""

    objective: str
    sampler: SamplerChoice | None
    num_sampled: int
    shared_negatives: bool
    unseen_negatives: bool
    unigram_power: float
    log_q: bool
    calibration: float
    temperature: float
    cosine: bool
    max_length: int
    pretrain: int
    batch_size: int
    epochs: int
    lr: float
    weight_decay: float
    clip: float | None
    decay: str
    warmup: int
    ema: float | None
    validate_every: int
    patience: int | None
    monitor: str
    exclude_seen: bool
    sparse: bool | None
    precision: str
    seed: int | None
    device: torch.device | str


class NeuralSettings:
    """The options of a NeuralRecommender as attributes of the same names, checked, with defaults for those not given.

    Example:
        >>> settings = NeuralSettings()
        >>> settings.take_options(32, {"lr": 0.01})
        >>> settings.lr, settings.batch_size
        (0.01, 512)
    """

    has_item_table: ClassVar[bool] = True
    """Whether items have a plain table, which may start from vectors that were learned elsewhere."""

    def take_options(self, dim: int, options: NeuralOptions) -> None:
        """Check them, and keep them.

        Raises:
            TypeError, ValueError: an argument is unknown, or not as NeuralRecommender describes it.
        """
        unknown = sorted(set(options) - set(NeuralOptions.__annotations__))
        if unknown:
            raise TypeError(f"{type(self).__name__}: unknown argument {unknown[0]!r}")
        self.dim = check_int("dim", dim)
        self.objective = objective_name(options.get("objective", "sampled_softmax"))
        self.sampler = self._check_sampler(options.get("sampler"))
        self.num_sampled = check_int("num_sampled", options.get("num_sampled", 512))
        self.shared_negatives = check_bool("shared_negatives", options.get("shared_negatives", True))
        self.unseen_negatives = check_bool("unseen_negatives", options.get("unseen_negatives", False))
        if self.unseen_negatives and (self.sampler is None or not self.shared_negatives):
            raise ValueError("unseen_negatives: expected a sample that a batch shares, got none or one for each row")
        self.unigram_power = check_float("unigram_power", options.get("unigram_power", 0.75))
        self.log_q = check_bool("log_q", options.get("log_q", True))
        self.calibration = check_float("calibration", options.get("calibration", 0.75), at_least=0, at_most=1)
        self.temperature = check_float("temperature", options.get("temperature", 1.0), above=0)
        self.cosine = check_bool("cosine", options.get("cosine", False))
        self.max_length = check_int("max_length", options.get("max_length", 50))
        self.pretrain = check_int("pretrain", options.get("pretrain", 0), 0)
        if self.pretrain and not self.has_item_table:
            raise ValueError(
                f"pretrain: expected 0, got {self.pretrain}: {type(self).__name__} has no plain table of items that "
                "could start from other vectors"
            )
        self.batch_size = check_int("batch_size", options.get("batch_size", 512))
        self.epochs = check_int("epochs", options.get("epochs", 20))
        self.lr = check_float("lr", options.get("lr", 1e-3), above=0)
        self.weight_decay = check_float("weight_decay", options.get("weight_decay", 0.0), at_least=0)
        clip, ema, patience = options.get("clip"), options.get("ema"), options.get("patience", 3)
        self.clip = None if clip is None else check_float("clip", clip, above=0)
        self.decay = options.get("decay", "constant")
        if self.decay not in DECAYS:
            raise ValueError(f"decay: expected one of {', '.join(DECAYS)}, got {shown(self.decay)}")
        self.warmup = check_int("warmup", options.get("warmup", 0), 0)
        self.ema = None if ema is None else check_float("ema", ema, above=0, at_most=1)
        self.validate_every = check_int("validate_every", options.get("validate_every", 1))
        self.patience = None if patience is None else check_int("patience", patience)
        self.monitor = _check_monitor(options.get("monitor", "ndcg@10"))
        self.exclude_seen = check_bool("exclude_seen", options.get("exclude_seen", True))
        sparse = options.get("sparse")
        self.sparse = None if sparse is None else check_bool("sparse", sparse)
        self.precision = check_precision(options.get("precision", "float32"))

    def _check_sampler(self, choice: SamplerChoice | None) -> Any:
        if not OBJECTIVES[self.objective].negatives.sampled:
            if choice is not None:
                raise ValueError(f"sampler: {self.objective} uses every item and takes no sampler, got {choice!r}")
            return None
        return check_sampler("log_uniform" if choice is None else choice)


def _check_monitor(value: object) -> str:
    name, _, k = value.partition("@") if isinstance(value, str) else ("", "", "")
    if name not in METRICS or not k.isdecimal() or int(k) < 1:
        names = ", ".join(METRICS)
        raise ValueError(f"monitor: expected one of {names} with a cut-off, such as 'ndcg@10', got {shown(value)}")
    return str(value)
