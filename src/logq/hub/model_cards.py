"""Model cards: README.md of a model's folder, with what made the model, how good it is, and how to load it.

The front matter is what the Hugging Face Hub reads. It is written as JSON after each key, which YAML contains.
"""

import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from logq._arguments import ArgumentError, ArgumentTypeError
from logq._files import atomic_write
from logq._project import home, version
from logq.tables.notebook_html import cell
from logq.tables.result_frames import HasColumns

__all__ = [
    "CARD",
    "Card",
    "CardFacts",
    "CardMetric",
    "SettingShown",
    "card_text",
    "check_card",
    "measured",
    "write_card",
]

CARD = "README.md"

_OURS = re.compile(rb"""(?m)^library_name:\s*["']?logq["']?\s*$""")

# What YAML has only in escapes, though JSON does not mind; \x85 is a line break there.
_ESCAPED = re.compile("[\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_STRING_OR_NUMBER = re.compile(r'("(?:[^"\\]|\\.)*")|(?<![.\d])(\d+)(e[+-]\d+)')  # 1e-05, which YAML 1.1 reads as text

# What the hub calls the task of a family; it has no name for recommendations.
_TASKS = {"language model": "text-generation", "word vectors": "feature-extraction"}
_TAGS = {
    "recommender": ("recommendation", "recommender-system"),
    "language model": ("language-model",),
    "word vectors": ("word-embeddings",),
}


class CardMetric(NamedTuple):
    """A metric of an evaluation, with the ends of its interval where it has one.

    Example:
        >>> CardMetric("NDCG@10", 0.0625).value
        0.0625
    """

    name: str
    value: float
    low: float = math.nan
    high: float = math.nan


class SettingShown(NamedTuple):
    """A setting as text, and how it came about: "chosen: " and why, or "" where it was given.

    Example:
        >>> SettingShown("dim", "64", "").name
        'dim'
    """

    name: str
    value: str
    how: str


@dataclass(frozen=True)
class Card:
    """What only the owner of a model can say of it, for its card.

    Args:
        scores: what was measured: the name of the data -> what `evaluate` returned, or numbers by name, such as those
            of a file that `logq evaluate --json` wrote.
        about: a few sentences for readers, in Markdown.
        license: as the hub names it, such as "mit" or "cc-by-4.0".
        languages: of the text, such as ["en"].
        tags: further ones.
        repo_id: where the model will be on the hub, "user/name"; None shows how to load it from a folder.
        written: a date to write instead of that of today, such as "2026-11-29".

    Raises:
        ArgumentTypeError: an argument is not as described.

    Example:
        >>> Card(scores={"the last event of each user": {"NDCG@10": 0.0625}}, license="mit").license
        'mit'
        >>> Card(languages="en")
        Traceback (most recent call last):
        ...
        logq.ArgumentTypeError: languages: expected a list of strings, got 'en'
    """

    scores: Mapping[str, Any] = field(default_factory=dict[str, Any])
    about: str = ""
    license: str | None = None
    languages: Sequence[str] = ()
    tags: Sequence[str] = ()
    repo_id: str | None = None
    written: str | None = None

    def __post_init__(self) -> None:
        for name in ("languages", "tags"):
            several = getattr(self, name)
            if isinstance(several, str) or not all(isinstance(one, str) for one in several):
                raise ArgumentTypeError(name, "a list of strings", several)
        if not isinstance(self.scores, Mapping):
            raise ArgumentTypeError("scores", "results by the name of the data that they were measured on", self.scores)
        for name, result in self.scores.items():
            measured(result, f"scores[{name!r}]")

    @classmethod
    def of(cls, card: "bool | Card") -> "Card | None":
        """Return what `card=` of a method means; None for no card.

        Raises:
            ArgumentTypeError: it is neither True, False nor a Card.

        Example:
            >>> Card.of(True), Card.of(False)
            (Card(scores={}, about='', license=None, languages=(), tags=(), repo_id=None, written=None), None)
        """
        if not isinstance(card, bool | Card):
            raise ArgumentTypeError("card", "True, False or a Card", card)
        return (cls() if card else None) if isinstance(card, bool) else card


@dataclass(frozen=True)
class CardFacts:
    """What a model says of itself.

    Args:
        kind: its class.
        family: "recommender", "language model" or "word vectors".
        summary: what it is, in a sentence.
        origin: what is known of its data and of the version that learned from it: "data" and "logq".
        sizes: numbers by name.
        settings: those that are not the defaults, and those that were chosen.
        every_setting: all of them.
        validation: what was measured while it was trained, and on what.
        usage: lines of Python that ask a `model`.
        users: how many users are in the files; None for what never has any.
    """

    kind: str
    family: str
    summary: str
    origin: Mapping[str, str]
    sizes: Mapping[str, int]
    settings: Sequence[SettingShown]
    every_setting: Mapping[str, Any]
    validation: tuple[str, Sequence[CardMetric]] | None
    usage: str
    users: int | None = None


_SCORES = 'numbers by name, or {"values": {name: number}, "intervals": {name: [low, high]}}'
_Rows: TypeAlias = Iterable[Sequence[str]]


def measured(result: Any, name: str = "scores") -> list[CardMetric]:
    """Return the metrics of what an evaluation returned, or of numbers by name.

    Raises:
        ArgumentTypeError: it is neither.

    Example:
        >>> from logq.evaluation import Likelihood
        >>> [one for one in measured(Likelihood(-2.0, 2, 1)) if one.name == "cross_entropy"]
        [CardMetric(name='cross_entropy', value=1.0, low=nan, high=nan)]
        >>> measured({"values": {"HR@10": 0.5}, "intervals": {"HR@10": [0.4, 0.6]}})
        [CardMetric(name='HR@10', value=0.5, low=0.4, high=0.6)]
    """
    if isinstance(result, Mapping):
        values: Any = result.get("values") or result  # of rankings, or numbers by name
        intervals: Any = result.get("intervals") or {}
        try:
            found = [
                CardMetric(str(key), float(value), *_interval(intervals.get(key)))
                for key, value in values.items()
                if isinstance(value, int | float) and not isinstance(value, bool)
            ]
        except (AttributeError, TypeError, ValueError, OverflowError):
            raise ArgumentError(name, _SCORES, result) from None
    elif isinstance(result, HasColumns):
        found = _of_columns({key: list(values) for key, values in result.to_columns().items()})
    else:
        raise ArgumentTypeError(name, "what evaluate returned, or numbers by name", result)
    if not found:
        raise ArgumentError(name, _SCORES, result)
    return found


def _interval(ends: Any) -> tuple[float, float]:
    """Both ends of an interval, NaN where they are not known; an error where there are not two."""
    low, high = (None, None) if ends is None else ends
    return math.nan if low is None else float(low), math.nan if high is None else float(high)


def _of_columns(columns: Mapping[str, list[Any]]) -> list[CardMetric]:
    """The metrics in the columns that a data frame of a result has."""
    if {"metric", "k", "part", "value"} <= columns.keys():  # of rankings
        rows = zip(*(columns[name] for name in ("metric", "k", "part", "value", "low", "high")), strict=True)
        return [
            CardMetric(f"{metric}@{k}" + (f", {part}" if part else ""), value, low, high)
            for metric, k, part, value, low, high in rows
        ]
    first = next(iter(columns))
    named = not isinstance(columns[first][0], int | float | np.number) if columns[first] else False
    return [
        CardMetric(f"{key}, {row}" if named else key, float(value))
        for number, row in enumerate(columns[first])
        for key, values in columns.items()
        if isinstance(value := values[number], int | float | np.number)
    ]


def check_card(folder: str | os.PathLike[str], card: Card | None) -> None:
    """Check that the card of a model does not take the place of a file that somebody else wrote.

    Raises:
        ArgumentError: README.md of the folder is no card of logq.
    """
    there = Path(folder) / CARD
    if card is not None and there.exists() and not _OURS.search(there.read_bytes()[:2000]):
        hint = "take a folder of its own for the model"
        raise ArgumentError("card", f"False, as {there} is no model card and would be replaced", card, hint)


def write_card(folder: str | os.PathLike[str], facts: CardFacts, card: Card) -> None:
    """Write the card of a model into its folder.

    Args:
        folder: of the model.
        facts: what the model says of itself.
        card: what its owner says.

    Raises:
        OSError: it cannot be written.
    """
    with atomic_write(Path(folder) / CARD) as file:
        file.write(card_text(facts, card).encode("utf-8", "backslashreplace"))


def card_text(facts: CardFacts, card: Card) -> str:
    """Return the text of a card; arguments as for `write_card`."""
    place = f"hf://{card.repo_id}" if card.repo_id else "path/of/this/folder"
    library = f"[logq]({home()})" if home() else "logq"
    shown = "Those that are not the defaults, and those that the training chose for its data."
    parts = [
        _front_matter(facts, card),
        f"# {card.repo_id or facts.kind}",
        card.about.strip(),
        f"{facts.family.capitalize()} of {library}, {facts.kind}: {facts.summary}",
        "## How to load it",
        f"```python\nimport logq\n\nmodel = logq.load({json.dumps(place)})\n{facts.usage}\n```",
        "## Where it comes from",
        _table(("", ""), _origin(facts, card)),
        "## Settings",
        f"{shown}\n\n{_table(('setting', 'value', ''), facts.settings)}" if facts.settings else "All are the defaults.",
        f"<details><summary>All settings</summary>\n\n```json\n{_json(facts.every_setting)}\n```\n\n</details>",
    ]
    if facts.validation is not None or card.scores:
        parts.append("## How good it is")
    if facts.validation is not None:
        where, found = facts.validation
        parts += [f"While it was trained, {where}:", _metrics(found)]
    for name, result in card.scores.items():
        parts += [f"On {_one_line(name)}:", _metrics(measured(result))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _origin(facts: CardFacts, card: Card) -> list[tuple[str, str]]:
    today = datetime.now(timezone.utc).date().isoformat()
    rows = [
        ("fingerprint of the data", f"`{facts.origin['data']}`" if facts.origin.get("data") else "not known"),
        ("trained by", f"logq {facts.origin['logq']}" if facts.origin.get("logq") else "not known"),
        ("this card", f"{card.written or today}, by logq {version()}"),
        *((name, f"{count:,}") for name, count in facts.sizes.items()),
    ]
    if facts.users is not None:
        many = f"{facts.users:,}, with their ids and histories: publish these files only if you may"
        rows.append(("users in these files", many if facts.users else "none"))
    return rows


def _front_matter(facts: CardFacts, card: Card) -> str:
    tags = dict.fromkeys([*_TAGS.get(facts.family, ()), facts.kind.lower(), *card.tags])
    known: dict[str, Any] = {
        "library_name": "logq",
        "pipeline_tag": _TASKS.get(facts.family),
        "license": card.license,
        "language": list(card.languages),
        "tags": list(tags),
        "model-index": _model_index(facts, card),
    }
    return "\n".join(["---", *(f"{key}: {_yaml(value)}" for key, value in known.items() if value), "---"])


def _yaml(value: Any) -> str:
    """A value as JSON that YAML reads as the same."""
    text = _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))
    return _STRING_OR_NUMBER.sub(lambda found: found[1] or f"{found[2]}.0{found[3]}", text)


def _model_index(facts: CardFacts, card: Card) -> list[dict[str, Any]]:
    """The scores as the hub shows them beside the model."""
    results: list[dict[str, Any]] = []
    for name, result in card.scores.items():
        finite = [one for one in measured(result) if math.isfinite(one.value)]
        metrics = [{"type": _slug(one.name), "name": one.name, "value": one.value} for one in finite]
        task = _TASKS.get(facts.family, "recommendation")
        if metrics:
            dataset = {"type": _slug(name), "name": name}
            results.append({"task": {"type": task}, "dataset": dataset, "metrics": metrics})
    return [{"name": (card.repo_id or facts.kind).rpartition("/")[2], "results": results}] if results else []


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "data"


def _metrics(found: Sequence[CardMetric]) -> str:
    def interval(one: CardMetric) -> str:
        return f"{cell(one.low)} to {cell(one.high)}" if math.isfinite(one.low) else ""

    with_intervals = any(math.isfinite(one.low) for one in found)
    rows = [(one.name, cell(one.value), *([interval(one)] if with_intervals else [])) for one in found]
    return _table(("metric", "value", *(["95 %"] if with_intervals else [])), rows)


def _table(head: Sequence[str], rows: _Rows) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_one_line(text).replace("|", "\\|") for text in row) + " |" for row in lines)


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("<", "&lt;")


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=1, ensure_ascii=False, default=str).replace("```", "` ` `")
