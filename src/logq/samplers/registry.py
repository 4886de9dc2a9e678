"""The samplers that have a name, for estimators and the command line; importing it loads neither torch nor numpy."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim
from logq.samplers.sampler_settings import SamplerSettings

if TYPE_CHECKING:
    from logq.samplers.sampler import Sampler

__all__ = ["SAMPLERS", "SamplerChoice", "SamplerSettings", "check_in_batch_share", "check_sampler", "make_sampler"]

SAMPLERS: Final = {
    "unigram": "logq.samplers.unigram:Unigram",
    "uniform": "logq.samplers.uniform:Uniform",
    "log_uniform": "logq.samplers.log_uniform:LogUniform",
    "learned_unigram": "logq.samplers.learned_unigram:LearnedUnigram",
    "in_batch": "logq.samplers.in_batch:InBatch",
    "cross_batch": "logq.samplers.cross_batch:CrossBatch",
    "every_class": "logq.samplers.every_class:EveryClass",
}
"""Name -> "module:class"; its `from_settings` makes an instance."""

SamplerChoice: TypeAlias = str | Callable[[Any], Any]
"""A name, or a function of the counts of the classes, most frequent first, that makes a sampler."""


def check_sampler(choice: object) -> Any:
    """Return `choice`, a name or a function.

    Raises:
        ArgumentTypeError, ArgumentError: it is neither.

    Example:
        >>> check_sampler("uniform")
        'uniform'
    """
    if hasattr(choice, "log_expected_count"):
        raise ArgumentTypeError(
            "sampler",
            "a name or a function that makes one once the classes are counted",
            Verbatim(f"a {choice}"),
            "write lambda counts: Uniform(len(counts), 64)",
        )
    if callable(choice) or (isinstance(choice, str) and choice in SAMPLERS):
        return choice
    kind = ArgumentError if isinstance(choice, str) else ArgumentTypeError
    raise kind("sampler", f"one of {', '.join(SAMPLERS)} or a function of the counts", choice)


def check_in_batch_share(share: float, choice: object, num_sampled: int | None) -> None:
    """Raise ArgumentError if a sampler, or a number of negatives, does not go with that share of in-batch negatives.

    Example:
        >>> check_in_batch_share(0.5, "uniform", 64)
    """
    if not isinstance(choice, str) or choice in ("in_batch", "cross_batch", "every_class"):
        named = choice if isinstance(choice, str) else "a function"
        expected = "0, or the name of a sampler that draws num_sampled classes beside it"
        raise ArgumentError("in_batch_share", expected, Verbatim(f"{share:g} with {named}"))
    if num_sampled is not None and not 0 < round(share * num_sampled) < num_sampled:
        expected = f"a share of num_sampled = {num_sampled} that leaves both parts at least one"
        raise ArgumentError("in_batch_share", expected, share)


def _mixed(choice: SamplerChoice, settings: SamplerSettings) -> Sampler:
    """Negatives of two kinds: some of the batch's targets, the rest from another sampler."""
    from logq.samplers.in_batch import InBatch
    from logq.samplers.mixture import Mixture

    check_in_batch_share(settings.in_batch_share, choice, settings.num_sampled)
    inside = round(settings.in_batch_share * settings.num_sampled)
    in_batch = InBatch(
        settings.num_classes,
        counts=settings.of_targets,
        num_sampled=inside,
        group=settings.group,
        seed=settings.seed,
    )
    rest = replace(settings, num_sampled=settings.num_sampled - inside, in_batch_share=0.0)
    return Mixture([in_batch, make_sampler(choice, rest)], seed=settings.seed)


def make_sampler(choice: SamplerChoice, settings: SamplerSettings) -> Sampler:
    """Make the sampler that was chosen.

    Args:
        choice: one of SAMPLERS, or a function counts -> sampler.
        settings: what the sampler is made from.

    Returns:
        A sampler over C classes.

    Raises:
        ArgumentTypeError: the function returned something else.
        ArgumentError: there is no sampler of that name, its number of classes is wrong, or it does not go with a share
            of in-batch negatives.

    Example:
        >>> import numpy as np
        >>> make_sampler("unigram", SamplerSettings(np.array([8, 1]), 3, unigram_power=0.75, per_row=True, seed=1))
        Unigram(
          num_classes=2, num_sampled=3, per_row=True
          (table): AliasTable()
        )
    """
    choice = check_sampler(choice)
    if settings.in_batch_share:
        return _mixed(choice, settings)
    if isinstance(choice, str):
        return pkgutil.resolve_name(SAMPLERS[choice]).from_settings(settings)
    from logq.samplers.sampler import Sampler

    sampler = choice(settings.counts)
    if not isinstance(sampler, Sampler):
        raise ArgumentTypeError("sampler", "the function to return a sampler", Verbatim(type(sampler).__name__))
    if sampler.num_classes != settings.num_classes:
        raise ArgumentError("sampler", f"num_classes = {settings.num_classes}", sampler.num_classes)
    return sampler
