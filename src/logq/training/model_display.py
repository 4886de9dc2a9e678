"""How an estimator is shown: its repr(), and what a notebook has of it."""

from typing import Any

from logq._arguments import shown
from logq.tables.notebook_html import block, grid, learning_curves

__all__ = ["html_of", "text_of"]


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
    chosen = getattr(model, "chosen", {}) if model.is_fitted else {}
    reasons = {name: f"chosen: {choice.reason}" for name, choice in chosen.items()}
    values = {**_changed(model), **{name: getattr(model, name) for name in chosen}}
    rows = [(name, shown(value), reasons.get(name, "")) for name, value in values.items()]
    fitted = f"fitted on {model._fitted_on()}" if model.is_fitted else "not fitted"
    return block(
        f"{type(model).__name__}, {fitted}",
        grid(("setting", "value", ""), rows) if rows else "",
        learning_curves(getattr(model, "training_log", ())),
    )


def _changed(model: Any) -> dict[str, Any]:
    """The arguments that are not the defaults."""
    # What follows from other arguments, such as the sampler of an objective, is shown where it was not said so.
    plain = type(model).from_settings({})
    values = {name: getattr(model, name) for name in model.options()}
    return {name: value for name, value in values.items() if value != getattr(plain, name)}
