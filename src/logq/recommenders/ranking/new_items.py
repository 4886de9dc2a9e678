"""NewItemRanker: items that came after training, which are known by their features alone."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Self

from logq._arguments import ArgumentError, Verbatim, shown
from logq.recommenders.encoding.encoders import RetrievalModel
from logq.recommenders.ranking.item_ranker import ItemRanker
from logq.recommenders.ranking.requests import Unknown, add_status, check_unknown, encoded_features
from logq.retrieval.index_checks import Metric

__all__ = ["NewItemRanker", "NewItemsOfEncoder"]


class NewItemRanker(ItemRanker):
    """Ranks items that came after training too, where the model learned what their features mean.

    A subclass says whether it did (`describes_items`), and makes vectors of features (`_cold_vectors`, `_cold_rows`).

    Example:
        See logq.recommenders.Recommender, which is one.
    """

    # ------------------------------------------------------------------------------------- what a subclass fills in

    @property
    def describes_items(self) -> bool:
        """Whether items can be known by their side information alone."""
        return False

    def _cold_vectors(self, features: Mapping[str, Tensor]) -> Tensor:
        """(n, D), vectors of items of which only side information is known, by feature: codes, 0 unknown, or floats."""
        raise NotImplementedError

    def _cold_rows(self, features: Mapping[str, Tensor]) -> Tensor:
        """(n, D'), what `_item_rows` would have of such items."""
        raise self._no_vectors()

    def _take_in(self, features: Mapping[str, Tensor]) -> None:
        """Make room for such items, which get the next codes."""
        raise self._no_vectors()

    # --------------------------------------------------------------------------------------------------- interface

    def new_item_vectors(
        self, item_features: Mapping[str, Any], *, metric: Metric = "inner_product", unknown: Unknown = "raise"
    ) -> NDArray[np.float32]:
        """(n, D') vectors of items that came after training, of their features alone, for `add` of an `index()`.

        Args:
            item_features: raw values by feature, one for each item, as for `similar_items`.
            metric: that of the index: by inner product rows are as those of `search_vectors`, by cosine as those of
                `item_vectors`.
            unknown: "raise" makes a value that no item of the log has an error, "ignore" counts it as missing.

        Raises:
            AttributeError: the model is not fitted.
            ArgumentError: the model learned nothing from features of items, or there is no such feature or value.

        Example:
            >>> from logq.logs import Features, Interactions
            >>> from logq.recommenders import TwoTower
            >>> log = Interactions.from_sessions([["tea", "milk", "cup"], ["nail", "saw", "drill"]] * 20)
            >>> kinds = {"item": log.item_ids.keys, "kind": ["kitchen"] * 3 + ["tool"] * 3}
            >>> log = log.with_features(items=Features.from_frame(kinds, log.item_ids))
            >>> model = TwoTower(dim=8, epochs=20, lr=0.02, id_dropout=0.3, seed=1).fit(log, progress=False)
            >>> index = model.index()
            >>> index.add([6, 7], model.new_item_vectors({"kind": ["tool", "kitchen"]}))
            >>> added = {6: "hammer", 7: "pan"}
            >>> new = {"index": index, "added": added, "allow": ["hammer", "pan"]}
            >>> model.recommend(histories=["nail"], k=1, **new).items.tolist()
            ['hammer']
        """
        self._check_fitted()
        codes, _ = self._encoded(item_features, lenient=check_unknown(unknown, ("raise", "ignore")) == "ignore")
        features = {name: torch.from_numpy(values) for name, values in codes.items()}
        vectors = self._cold_vectors(features) if metric == "cosine" else self._cold_rows(features)
        return vectors.detach().float().cpu().numpy()

    def add_items(self, ids: Any, item_features: Mapping[str, Any]) -> Self:
        """Take in items that came after training, known by their features alone; nothing is learned.

        From then on they are as the others: they are recommended, may be in histories, and are in `item_ids`, indexes
        and files of the model, after those of the log. `fit` forgets them.

        Args:
            ids: (n,) of the items, which the model does not know.
            item_features: raw values by feature, (n,) each, as in the features of the log that it was fitted on; for
                a feature that is a vector, n vectors. What is not given is unknown.

        Returns:
            The recommender itself.

        Raises:
            AttributeError: the model is not fitted.
            ArgumentError: the model learned nothing from features, an id is known, there are not as many values as
                ids, or there is no such feature.

        Example:
            >>> from logq.logs import Features, Interactions
            >>> from logq.recommenders import YoutubeDNN
            >>> log = Interactions.from_sessions([["tea", "milk", "cup"], ["nail", "saw", "drill"]] * 20)
            >>> kinds = {"item": log.item_ids.keys, "kind": ["kitchen"] * 3 + ["tool"] * 3}
            >>> log = log.with_features(items=Features.from_frame(kinds, log.item_ids))
            >>> model = YoutubeDNN(dim=8, content="sum", id_dropout=0.3, num_sampled=4, epochs=30, lr=0.02, seed=1)
            >>> model = model.fit(log, progress=False).add_items(["hammer", "pan"], {"kind": ["tool", "kitchen"]})
            >>> model.recommend(histories=["nail"], k=1, allow=["hammer", "pan"]).items.tolist()
            ['hammer']
        """
        self._check_fitted()
        ids = ids if isinstance(ids, np.ndarray) else list(ids)
        codes, _ = self._encoded(item_features, lenient=True)
        wrong = next((name for name, values in codes.items() if len(values) != len(ids)), None)
        if wrong is not None:
            raise ArgumentError("item_features", f"{len(ids)} values of {wrong!r}, one for each id", len(codes[wrong]))
        assert self.known.item_features is not None
        known = self.known.with_items(ids, self.known.item_features.extended(codes))
        self._take_in({name: torch.from_numpy(values) for name, values in codes.items()})
        self.known, self._indexes = known, {}
        return self

    def _described(self, columns: Mapping[str, Any], *, lenient: bool) -> tuple[Tensor, NDArray[Any]]:
        """Vectors of items that are known by side information, and what was unknown of each (n,)."""
        codes, status = self._encoded(columns, lenient=lenient)
        return self._cold_vectors({name: torch.from_numpy(values) for name, values in codes.items()}), status

    def _encoded(self, columns: Mapping[str, Any], *, lenient: bool) -> tuple[dict[str, NDArray[Any]], NDArray[Any]]:
        """Codes and vectors by feature of raw values of new items, and what was unknown of each item (n,)."""
        features = self.known.item_features
        if not self.describes_items:
            name = type(self).__name__
            hint = 'content="sum" or "network" learns from it' if hasattr(self, "content") else ""
            expected = f"none, as {name} learns nothing from side information of items"
            raise ArgumentError("item_features", expected, hint=hint)
        if features is None:
            raise ArgumentError("item_features", "none, as the model was trained without features of items")
        codes, unknown = encoded_features("item_features", features, columns, dense=True)
        if unknown and not lenient:
            feature, row, value = unknown[0]
            got = Verbatim(f"{shown(value)} for {feature!r} at position {row}")
            raise ArgumentError(
                "item_features", "values that the model knows", got, "no item of the log has it; None is an unknown one"
            )
        status = np.full(len(next(iter(codes.values()))), "", dtype=object)
        for feature, row, value in unknown:
            add_status(status, row, f"{shown(value)} is unknown as {feature!r}")
        return codes, status


class NewItemsOfEncoder(NewItemRanker):
    """How a model with an encoder takes in items that came after training.

    Attributes:
        model: the encoder, which makes vectors of features.

    Example:
        See logq.recommenders.NeuralRecommender, which does.
    """

    model: RetrievalModel
    _offsets: Tensor | None

    @abstractmethod
    def _rows_of(self, vectors: Tensor, bias: Tensor | None, offsets: Tensor | None) -> Tensor:
        """The vectors of items as queries are compared with them, with their biases (n,) and offsets (n,) inside."""

    @property
    def describes_items(self) -> bool:
        """Whether items can be known by their side information alone."""
        return getattr(self, "content", "none") != "none"

    @torch.no_grad()
    def _cold_vectors(self, features: Mapping[str, Tensor]) -> Tensor:
        device = next(self.model.parameters()).device
        return self.model.item_vectors_from({name: values.to(device) for name, values in features.items()})

    @torch.no_grad()
    def _cold_rows(self, features: Mapping[str, Tensor]) -> Tensor:
        vectors, bias = self._cold_vectors(features), self.model.item_biases
        return self._rows_of(
            vectors,
            None if bias is None else bias.mean().expand(len(vectors)),
            None if self._offsets is None else self._cold_offsets(len(vectors)),
        )

    def _cold_offsets(self, rows: int) -> Tensor:
        """(n,), those of the items that are drawn least, as nobody has met a new one yet."""
        assert self._offsets is not None
        return self._offsets.min().expand(rows)

    def _take_in(self, features: Mapping[str, Tensor]) -> None:
        device = next(self.model.parameters()).device
        self.model.add_items({name: values.to(device) for name, values in features.items()})
        if self._offsets is not None:
            self._offsets = torch.cat([self._offsets, self._cold_offsets(len(next(iter(features.values()))))])
