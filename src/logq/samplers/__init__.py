"""Samplers: one distribution a file, each with its draws and the exact expected counts of them.

Names are imported when they are first used, so that logq.samplers.registry does without torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from logq.samplers.every_class import EveryClass
    from logq.samplers.in_batch import InBatch
    from logq.samplers.learned_unigram import LearnedUnigram
    from logq.samplers.log_uniform import LogUniform
    from logq.samplers.mixture import Mixture
    from logq.samplers.partition import Partition
    from logq.samplers.prefetch import Prefetch
    from logq.samplers.proposal import Proposal
    from logq.samplers.sampler import Draw, Sampler
    from logq.samplers.uniform import Uniform
    from logq.samplers.unigram import Unigram
    from logq.samplers.within_group import WithinGroup

__all__ = [
    "Draw",
    "EveryClass",
    "InBatch",
    "LearnedUnigram",
    "LogUniform",
    "Mixture",
    "Partition",
    "Prefetch",
    "Proposal",
    "Sampler",
    "Uniform",
    "Unigram",
    "WithinGroup",
]

_MODULES = {
    "Draw": "sampler",
    "EveryClass": "every_class",
    "InBatch": "in_batch",
    "LearnedUnigram": "learned_unigram",
    "LogUniform": "log_uniform",
    "Mixture": "mixture",
    "Partition": "partition",
    "Prefetch": "prefetch",
    "Proposal": "proposal",
    "Sampler": "sampler",
    "Uniform": "uniform",
    "Unigram": "unigram",
    "WithinGroup": "within_group",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'logq.samplers' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"logq.samplers.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
