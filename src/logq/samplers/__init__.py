"""Samplers: one law a file, each with its draws and the exact expected counts of them."""

from logq.samplers.base import Draw, Sampler
from logq.samplers.every_class import EveryClass
from logq.samplers.in_batch import InBatch
from logq.samplers.learned_unigram import LearnedUnigram
from logq.samplers.log_uniform import LogUniform
from logq.samplers.mixture import Mixture
from logq.samplers.partition import Partition
from logq.samplers.prefetch import Prefetch
from logq.samplers.proposal import Proposal
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
