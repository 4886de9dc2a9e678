"""ItemSource: the items of a recommender, as a map shows them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from logq._arguments import ArgumentError, Verbatim
from logq._progress import Progress
from logq.evaluation.map_points import MapSource, Neighbors
from logq.folders.id_reading import typed_ids
from logq.recommenders.events.known_log import lenient_codes

if TYPE_CHECKING:
    from logq.folders.recommender_folders import RecommenderFolder

__all__ = ["ItemSource"]

_ROWS = 1024  # items asked about at a time
_SPECTRAL = 20  # neighbors that stand for an item of a model without vectors, and numbers that they become
_DIM = 32


class ItemSource(MapSource):
    """Items of a recommender, with what is known of them: titles, and how often they come in the log.

    Where a model compares items by vectors, a map lays out these. Where it compares them by counts, it lays out the
    vectors whose products come closest to how alike each item is to those most like it:

        S = U s U^T,   S_ij = how alike `similar_items` finds i and j,   vectors U sqrt(s) of the largest s > 0

    The diagonal of S is 0, so about half of its eigenvalues are negative: these say what is not alike.

    Args:
        found: the recommender, and what lies beside it.

    Raises:
        ArgumentError: the model does not compare items.

    Example:
        >>> from logq import Interactions, ItemKNN
        >>> from logq.folders.recommender_folders import RecommenderFolder
        >>> model = ItemKNN().fit(Interactions.from_sessions([["tea", "cup"], ["tea", "cup", "pot"], ["saw", "nail"]]))
        >>> source = ItemSource(RecommenderFolder(model, None, None, None, {}))
        >>> source.ids(2), source.counts(["pot"]).tolist()
        (['tea', 'cup'], [1])
        >>> source.neighbors(["saw", "tea", "cup"], 1, False).near.tolist()
        [[-1], [2], [1]]
    """

    kind = "item"

    def __init__(self, found: "RecommenderFolder") -> None:
        self.model = found
        self._found, self._model = found, found.model
        self._item_ids = found.model.known.item_ids
        if not self._model.compares_items:
            got = Verbatim(type(self._model).__name__)
            raise ArgumentError("model", "one that compares items, of which a map can be drawn", got)

    @property
    def explains(self) -> bool:
        """Whether the model gives reasons for what it recommends."""
        some = self._model.item_ids[:2].tolist()
        try:
            self._model.explain(None, some[-1], histories=[some[:1]])
        except (ValueError, NotImplementedError):
            return False
        return True

    @property
    def size(self) -> int:
        """How many there are."""
        return self._model.known.num_items

    def ids(self, top: int) -> list[Any]:
        """Return the items with most events."""
        order = np.argsort(-self._model.known.item_counts(), kind="stable")
        return self._model.item_ids[order[:top]].tolist()

    def known(self, ids: Sequence[Any]) -> list[bool]:
        """Return which of some ids its log has."""
        return [code >= 0 for code in self._codes(ids)]

    def names(self, ids: Sequence[Any]) -> list[str]:
        """Return their titles, and ids where there are none."""
        return [self._found.title(one) or str(one) for one in ids]

    def counts(self, ids: Sequence[Any]) -> NDArray[np.int64]:
        """Return how many events they have in the log."""
        return np.asarray(self._model.known.item_counts())[self._item_ids.codes(ids)]

    def vectors(self, ids: Sequence[Any], progress: bool | None) -> NDArray[Any]:
        """Return what the model compares items by, or what stands for it."""
        if self._model.has_vectors:
            return self._model.item_vectors[self._item_ids.codes(ids)]
        found = self.neighbors(ids, _SPECTRAL, progress)
        rows, columns = np.nonzero(found.near >= 0)
        near, values = found.near[rows, columns], found.similarity[rows, columns] / 2
        places = torch.from_numpy(np.stack([np.r_[rows, near], np.r_[near, rows]]))
        alike = torch.sparse_coo_tensor(
            places, torch.from_numpy(np.r_[values, values]), (len(ids), len(ids)), check_invariants=True
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            basis, _, _ = torch.svd_lowrank(alike.coalesce(), q=min(2 * _DIM, len(ids)), niter=8)
        values, turned = torch.linalg.eigh(basis.T @ (alike @ basis))  # ascending, with the signs that an SVD lacks
        return (basis @ turned * values.clamp(min=0).sqrt()).flip(1)[:, :_DIM].numpy()

    def neighbors(self, ids: Sequence[Any], count: int, progress: bool | None) -> Neighbors:
        """Return those that `similar_items` finds."""
        codes = np.array(self._codes(ids))
        known = np.flatnonzero(codes >= 0)
        place_of = np.full(self.size, -1)
        place_of[codes[known]] = known
        there = [ids[place] for place in known.tolist()]
        kept = min(count, max(0, len(ids) - 1))
        near, similarity = np.full((len(ids), kept), -1), np.zeros((len(ids), kept))
        if not kept or not there:
            return Neighbors(near, similarity)
        with Progress(len(there), "items", "neighbors", progress) as bar:
            for begin in range(0, len(there), _ROWS):
                part = slice(begin, begin + _ROWS)
                answer = self._model.similar_items(there[part], kept, allow=there)
                items, scores = np.atleast_2d(answer.items), np.atleast_2d(answer.scores)
                places = np.full(items.shape, -1)
                full = np.isfinite(scores)
                places[full] = place_of[self._codes(items[full].tolist())]
                near[known[part], : items.shape[1]] = places
                similarity[known[part], : items.shape[1]] = np.where(full, scores, 0)
                bar.advance(len(items))
        return Neighbors(near, similarity)

    def _codes(self, ids: Sequence[Any]) -> list[int]:
        """Codes of ids of another log too: those that this one does not have are -1."""
        return lenient_codes(self._item_ids, typed_ids(self._item_ids, [str(one) for one in ids])).tolist()

    def recommended(
        self, ids: Sequence[Any], count: int, progress: bool | None
    ) -> list[tuple[list[int], list[float]]] | None:
        """Return what the model recommends after each of these items alone: places among them, and scores.

        None where it does not answer a history of one item.
        """
        codes = np.array(self._codes(ids))
        there = [one for one, code in zip(ids, codes, strict=True) if code >= 0]
        place_of = {code: place for place, code in enumerate(codes.tolist()) if code >= 0}
        found: list[tuple[list[int], list[float]]] = [([], []) for _ in ids]
        own = [place for place, code in enumerate(codes.tolist()) if code >= 0]
        try:
            with Progress(len(there), "items", "recommendations", progress) as bar:
                for begin in range(0, len(there), _ROWS):
                    part = there[begin : begin + _ROWS]
                    answer = self._model.recommend(histories=[[one] for one in part], k=count, allow=there)
                    for place, items, scores in zip(
                        own[begin : begin + _ROWS], answer.items.tolist(), answer.scores.tolist(), strict=True
                    ):
                        kept = [(one, score) for one, score in zip(items, scores, strict=True) if one is not None]
                        found[place] = (
                            [place_of[code] for code in self._codes([one for one, _ in kept])],
                            [float(f"{score:.5g}") for _, score in kept],
                        )
                    bar.advance(len(part))
        except ValueError:
            return None
        return found
