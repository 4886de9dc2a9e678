"""How much an index finds, how fast, on given queries; and the cheapest settings of a kind that find enough."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from logq._arguments import ArgumentError, Verbatim, check_float, check_int
from logq._progress import Progress
from logq.retrieval.exact_index import ExactIndex
from logq.retrieval.index_checks import Metric, check_choice, check_ids
from logq.retrieval.index_kinds import index_class, make_index, query_shares
from logq.retrieval.index_registry import INDEX_KINDS, INDEXES
from logq.retrieval.item_index import Ids, ItemIndex, Vectors
from logq.tables.notebook_html import result_html
from logq.tables.short_texts import result_text

__all__ = ["IndexChoice", "IndexTrial", "choose_index", "measure_index"]

_SECONDS = 0.25  # at least, of searches whose speed is measured
_MARGIN = 3  # standard errors: what is chosen on some queries holds on others
_CLOSE = 1.2  # ratio of a setting that suffices to one that does not, at which the search for a smaller one ends
_FEWEST = 20  # queries, of which half choose


class IndexTrial(NamedTuple):
    """What an index found with one setting.

    Attributes:
        kind: of the index.
        options: of its constructor, those that are not the defaults.
        setting: the name of the setting of searches; "" where it has none.
        value: of the setting.
        recall: the mean share of the true k best items that were found.
        error: the standard error of that mean.
        queries_per_second: all queries in one call.
        nbytes: of the index.

    Example:
        >>> IndexTrial("usearch", {}, "ef_search", 64, 0.97, 0.003, 21_000.0, 1_200_000).about
        'ef_search=64'
    """

    kind: str
    options: Mapping[str, int]
    setting: str
    value: int
    recall: float
    error: float
    queries_per_second: float
    nbytes: int

    @property
    def about(self) -> str:
        """The setting and the options, as they are given to `make_index`."""
        given = {**self.options, **({self.setting: self.value} if self.setting else {})}
        return ", ".join(f"{name}={value}" for name, value in given.items())


@dataclass(frozen=True)
class IndexChoice:
    """An index that finds enough, and how it was chosen.

    Attributes:
        index: with its setting, which `save` keeps.
        chosen: its trial on the queries that it was chosen by.
        verified: its trial on the others.
        trials: all, in their order.

    Example:
        >>> exact = ExactIndex(torch.eye(4))
        >>> trial = measure_index(exact, exact, torch.eye(4), k=1)
        >>> IndexChoice(exact, trial, trial, (trial,)).verified.recall
        1.0
    """

    index: ItemIndex
    chosen: IndexTrial
    verified: IndexTrial
    trials: tuple[IndexTrial, ...]

    def __repr__(self) -> str:
        one = self.verified
        return result_text(self, one.kind, one.about, f"recall {one.recall:.4f}", f"{len(self.trials)} trials")

    def to_columns(self) -> dict[str, list[Any]]:
        """Return the columns that `logq.to_frame` makes a table of: a row for each trial, then what was verified."""
        rows = [*self.trials, self.verified]
        names = ("kind", "about", "recall", "error", "queries_per_second", "nbytes")
        columns = {name: [getattr(row, name) for row in rows] for name in names}
        return {"kind": columns.pop("kind"), "settings": columns.pop("about"), **columns}

    _repr_html_ = result_html


def measure_index(
    index: ItemIndex,
    exact: ItemIndex,
    queries: Vectors,  # (B, D) or (B, K, D)
    k: int = 10,
    *,
    own: Ids | None = None,
    options: Mapping[str, int] | None = None,
) -> IndexTrial:
    """Measure how much an index finds, against exact search, and how fast.

    Args:
        index: to be measured.
        exact: an `ExactIndex` of the same items and metric.
        queries: as for a search.
        k: number of items for each query.
        own: (B,) the item that each query is the vector of, which is no answer to it; None where queries are no items.
        options: of the constructor of the index, for the report.

    Raises:
        ArgumentError: as a search.

    Example:
        >>> exact = ExactIndex(torch.eye(4))
        >>> measure_index(exact, exact, torch.eye(4), k=1).recall
        1.0
    """
    asked = _Asked(exact, torch.as_tensor(queries), own, k)
    return asked.trial(index, options or {})


def choose_index(
    kind: str,
    vectors: Vectors,
    queries: Vectors,  # (B, D) or (B, K, D)
    recall: float,
    *,
    ids: Ids | None = None,
    k: int = 10,
    metric: Metric = "inner_product",
    own: Ids | None = None,
    seed: int = 0,
    progress: bool | None = None,
    report: Callable[[IndexTrial], None] | None = None,
    **options: int,
) -> IndexChoice:
    """Make an index of the cheapest settings that find enough of the true best items.

    A random half of the queries chooses: the setting of searches (`ef_search`, `nprobe`) is doubled until the recall,
    less three of its standard errors, is what is wanted, and then taken back as far as that holds. Where no setting
    suffices, the index is built again with denser graphs or longer codes (`ItemIndex.builds`). The other half, which
    chose nothing, verifies what was chosen.

    Args:
        kind: as for `make_index`.
        vectors: (n, D) vectors of items.
        queries: what will be asked: `model.query_vectors()` of a recommender.
        recall: the share of the true k best items to find, in (0, 1].
        ids: (n,) ids of the items; None means 0 to n - 1.
        k: number of items for each query.
        metric: "inner_product" or "cosine".
        own: (B,) the item that each query is the vector of, which is no answer to it; None where queries are no items.
        seed: of the halves.
        progress: True draws a bar, None does so on a terminal and prints lines elsewhere, False is silent.
        report: called with each trial as it ends.
        options: of the constructor, which are kept in all trials.

    Raises:
        ModuleNotFoundError: the library of the index is not installed; the message says how to.
        ArgumentError: the recall cannot be reached, and the message names the best; or an argument does not fit.

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> items, users = torch.randn(500, 8, generator=rng), torch.randn(200, 8, generator=rng)
        >>> choice = choose_index("faiss-ivf", items, users, 0.9, progress=False)
        >>> choice.verified.recall >= 0.9, choice.index.search_setting.name
        (True, 'nprobe')
    """
    check_choice("kind", kind, INDEX_KINDS)
    wanted = check_float("recall", recall, above=0, at_most=1)
    exact = ExactIndex(vectors, ids, metric=metric)
    asked = _Asked(exact, torch.as_tensor(queries), own, min(check_int("k", k), max(1, len(exact))))
    first, second = asked.halves(seed)
    trials: list[IndexTrial] = []
    shown = {"progress": progress} if INDEXES[kind].library else {}
    for build in _builds(kind, exact.dim, options):
        index = make_index(kind, vectors, ids, metric=metric, **build, **shown)
        setting = index.search_setting
        if setting is not None and setting.name in options:
            raise ArgumentError(setting.name, "none with a recall, which chooses it", options[setting.name])
        with Progress(math.inf, "settings", f"trying {kind}", progress) as line:

            def tried(made: ItemIndex, given: Mapping[str, int], line: Progress = line) -> IndexTrial:
                trials.append(first.trial(made, given))
                line.advance(1, recall=trials[-1].recall)
                if report is not None:
                    report(trials[-1])
                return trials[-1]

            chosen = _smallest(index, build, wanted, tried)
        if chosen is None:
            continue
        if setting is not None:
            index.set_search(chosen.value)
        verified = second.trial(index, build)
        if verified.recall < wanted:
            got = f"{chosen.about} found {verified.recall:.4f} where it was not chosen"
            hint = "more queries tell it more exactly, a higher recall leaves room"
            raise ArgumentError("recall", f"what holds for other queries too ({got})", recall, hint)
        return IndexChoice(index, chosen, verified, tuple(trials))
    best = max(trials, key=lambda trial: trial.recall)
    at = f" with {best.about}" if best.about else ""
    raise ArgumentError("recall", f"at most what {kind} reaches, {best.recall:.4f} ± {best.error:.4f}{at}", recall)


def _builds(kind: str, dim: int, options: Mapping[str, int]) -> Iterator[dict[str, int]]:
    seen: list[dict[str, int]] = []
    for more in ({}, *index_class(kind).builds(kind, dim)):
        build = {**more, **options}
        if build not in seen:
            seen.append(build)
            yield build


def _smallest(
    index: ItemIndex,
    build: Mapping[str, int],
    wanted: float,
    tried: Callable[[ItemIndex, Mapping[str, int]], IndexTrial],
) -> IndexTrial | None:
    """Return the trial of about the smallest setting that suffices; None where none does."""
    setting = index.search_setting
    if setting is None:
        trial = tried(index, build)
        return trial if _suffices(trial, wanted) else None

    def at(value: int) -> IndexTrial:
        index.set_search(value)
        return tried(index, build)

    low, value = 0, 1 if setting.name == "nprobe" else 8
    while True:
        value = min(value, setting.most)
        trial = at(value)
        if _suffices(trial, wanted):
            break
        if value >= setting.most:
            return None
        low, value = value, 2 * value
    while value - low > 1 and value > _CLOSE * low > 0:
        middle = (low + value) // 2
        closer = at(middle)
        if _suffices(closer, wanted):
            trial, value = closer, middle
        else:
            low = middle
    return trial


def _suffices(trial: IndexTrial, wanted: float) -> bool:
    return trial.recall - _MARGIN * trial.error >= wanted


class _Asked:
    """Queries with their true answers."""

    def __init__(self, exact: ItemIndex, queries: Tensor, own: Ids | None, k: int) -> None:
        self._exact = exact
        self._queries = queries
        self._k = k
        self._own = None if own is None else check_ids("own", own)
        if self._own is not None and len(self._own) != len(queries):
            raise ArgumentError("own", f"an item for each of the {len(queries)} queries", len(self._own))
        self._truth = self._answers(exact)

    def halves(self, seed: int) -> "tuple[_Asked, _Asked]":
        """Return two halves of the queries, chosen at random."""
        count = len(self._queries)
        if count < _FEWEST:
            raise ArgumentError("queries", f"at least {_FEWEST}, of which half choose", Verbatim(f"{count}"))
        order = torch.from_numpy(np.random.default_rng(seed).permutation(count))
        return self._part(order[: count // 2]), self._part(order[count // 2 :])

    def trial(self, index: ItemIndex, options: Mapping[str, int]) -> IndexTrial:
        """Ask an index."""
        shares = query_shares(self._answers(index), self._truth)
        count = len(shares)
        mean = float(shares.mean()) if count else float("nan")
        error = float(shares.std()) / math.sqrt(count) if count > 1 else 0.0
        setting = index.search_setting
        name, value = ("", 0) if setting is None else setting[:2]
        return IndexTrial(index.kind, dict(options), name, value, mean, error, self._speed(index), index.nbytes)

    def _answers(self, index: ItemIndex) -> Tensor:
        exclude = None if self._own is None else (self._own, np.arange(len(self._own) + 1))
        return index.search(self._queries, self._k, exclude=exclude).ids.cpu()

    def _speed(self, index: ItemIndex) -> float:
        done, began = 0, time.perf_counter()
        while done == 0 or time.perf_counter() - began < _SECONDS:
            self._answers(index)
            done += max(1, len(self._queries))
        return done / (time.perf_counter() - began)

    def _part(self, rows: Tensor) -> "_Asked":
        part = object.__new__(_Asked)
        part._exact, part._k, part._queries, part._truth = self._exact, self._k, self._queries[rows], self._truth[rows]
        part._own = None if self._own is None else self._own[rows]
        return part
