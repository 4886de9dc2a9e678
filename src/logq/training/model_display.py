"""How an estimator is shown: its repr(), what a notebook has of it, and what its card says."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from logq._arguments import shown
from logq.estimators import ESTIMATORS
from logq.hub.model_cards import CardFacts, CardMetric, SettingShown, measured
from logq.tables.notebook_html import block, grid, learning_curves

__all__ = ["BestEpoch", "best_epoch", "facts_of", "html_of", "text_of"]


class BestEpoch(NamedTuple):
    """What a training log says of its best epoch.

    Args:
        epoch: its number.
        last: the last one that was measured.
        metrics: by name, that first by which it is the best.

    Example:
        >>> best_epoch([{"epoch": 1, "perplexity": 9.0}, {"epoch": 2, "perplexity": 9.5}]).epoch
        1
    """

    epoch: int
    last: int
    metrics: Mapping[str, float]


def best_epoch(log: Iterable[Mapping[str, float]], monitor: str = "ndcg@10") -> BestEpoch | None:
    """Return what validation measured in the best epoch of a training log; None where it measured nothing.

    Args:
        log: an entry for each epoch; metrics of rankings have an @ in their names.
        monitor: the metric of rankings that was to grow; of texts it is the perplexity, which was to fall.

    Example:
        >>> best_epoch([{"epoch": 1, "loss": 2.0, "hr@10": 0.5, "ndcg@10": 0.2}])
        BestEpoch(epoch=1, last=1, metrics={'ndcg@10': 0.2, 'hr@10': 0.5})
        >>> best_epoch([{"epoch": 1, "loss": 2.0}]) is None
        True
    """
    kept = [entry for entry in log if "perplexity" in entry or monitor in entry]
    if not kept:
        return None
    best = min(kept, key=lambda entry: entry["perplexity"] if "perplexity" in entry else -entry[monitor])
    metrics = {name: value for name, value in best.items() if "@" in name or name == "perplexity"}
    ordered = sorted(metrics, key=lambda name: (name != monitor, not name.startswith(("hr", "ndcg"))))
    return BestEpoch(int(best["epoch"]), int(kept[-1]["epoch"]), {name: metrics[name] for name in ordered})


def text_of(model: Any) -> str:
    """Return the class, the arguments that are not the defaults, and what it was fitted on.

    Example:
        >>> from logq import EASE
        >>> text_of(EASE(regularization=2))
        'EASE(regularization=2.0)'
    """
    changed = [f"{name}={value!r}" for name, value in _changed(model).items()]
    fitted = [f"fitted on {model._fitted_on()}"] if model.is_fitted else []
    return f"{type(model).__name__}({', '.join(changed + fitted)})"


def html_of(model: Any) -> str:
    """Return the same as a table, with what the fit chose, and why, and the learning curves.

    Example:
        >>> from logq import EASE
        >>> print(html_of(EASE(regularization=2)))
        <div><p><b>EASE, not fitted</b></p><table><tr><th>setting</th><th>value</th><th></th></tr><tr>...
    """
    rows = _shown_settings(model)
    fitted = f"fitted on {model._fitted_on()}" if model.is_fitted else "not fitted"
    return block(
        f"{type(model).__name__}, {fitted}",
        grid(("setting", "value", ""), rows) if rows else "",
        learning_curves(getattr(model, "training_log", ())),
    )


def facts_of(model: Any, sizes: Mapping[str, int], usage: str, users: int | None) -> CardFacts:
    """Return what the card of a fitted estimator says of it.

    Args:
        model: the estimator.
        sizes: numbers by name, such as of its items.
        usage: lines of Python that ask a `model`.
        users: how many users it has; None where it never has any.
    """
    kind = type(model)
    entry = next((entry for entry in ESTIMATORS if entry.class_name == kind.__name__), None)
    first = (kind.__doc__ or "").strip().partition("\n")[0]
    return CardFacts(
        kind=kind.__name__,
        family=kind.family,
        summary=first if entry is None else entry.summary,
        origin=model.origin,
        sizes=sizes,
        settings=[SettingShown(*one) for one in _shown_settings(model)],
        every_setting=model.settings(),
        validation=_validation(model),
        usage=usage,
        users=users,
    )


def _validation(model: Any) -> tuple[str, Sequence[CardMetric]] | None:
    """What was measured while it was trained."""
    best = best_epoch(getattr(model, "training_log", ()), str(getattr(model, "monitor", "ndcg@10")))
    if best is not None:
        return f"on its validation part, best after epoch {best.epoch} of {best.last}", measured(best.metrics)
    on_text = model.metadata.get("validation")
    if on_text:
        return "on its validation text", measured({"perplexity": on_text["perplexity"] or math.inf})
    loss = getattr(model, "mean_loss", math.nan)
    return None if math.isnan(loss) else ("over the last epoch", measured({"mean loss of a pair": loss}))


def _shown_settings(model: Any) -> list[tuple[str, str, str]]:
    """The settings that are not the defaults, and those that the fit chose: name, value, and why it was chosen."""
    chosen = getattr(model, "chosen", {}) if model.is_fitted else {}
    values = {**_changed(model), **{name: getattr(model, name) for name in chosen}}
    reasons = {name: f"chosen: {choice.reason}" for name, choice in chosen.items()}
    return [(name, shown(value), reasons.get(name, "")) for name, value in values.items()]


def _changed(model: Any) -> dict[str, Any]:
    """The arguments that are not the defaults."""
    # What follows from other arguments, such as the sampler of an objective, is shown where it was not said so.
    plain = type(model).from_settings({})
    values = {name: getattr(model, name) for name in model.options()}
    return {name: value for name, value in values.items() if value != getattr(plain, name)}
