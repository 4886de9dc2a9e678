"""Recommenders and the indexes that they make."""

from typing import Any

import numpy as np
import pytest

from logq.recommenders import Recommender
from logq.retrieval import ExactIndex
from recommender_cases import ALL, ITEMS, WITHOUT_VECTORS, fitted, make, planted_log


@pytest.mark.parametrize("name", [name for name in ALL if name not in WITHOUT_VECTORS])
def test_an_exact_index_answers_as_the_model_does(name: str) -> None:
    model = fitted(name)
    index = model.index()
    assert len(index) == ITEMS
    choices: list[dict[str, Any]] = [{}, {"exclude_seen": False}, {"allow": [103, 104, 117]}]
    for options in choices:
        own, found = model.recommend(k=7, **options), model.recommend(k=7, index=index, **options)
        assert found.items.tolist() == own.items.tolist()
        assert (found.scores == own.scores).all()
    index.remove([0])
    assert model.item_ids[0] not in model.recommend(k=ITEMS, index=index, exclude_seen=False).items


@pytest.mark.parametrize(
    "options", [{"item_bias": True}, {"objective": "negative_sampling"}, {"cosine": True, "temperature": 0.1}]
)
def test_biases_offsets_and_temperature_are_in_the_rows(options: dict[str, Any]) -> None:
    model = make("YoutubeDNN", epochs=2, **options).fit(planted_log(), progress=False)
    own, found = model.recommend(k=7), model.recommend(k=7, index=model.index())
    assert found.items.tolist() == own.items.tolist()
    assert (found.scores == own.scores).all()
    assert model.index().dim == 16 + ("cosine" not in options)


@pytest.mark.parametrize("kind", ["faiss-flat", "usearch"])
def test_other_indexes(kind: str) -> None:
    pytest.importorskip("faiss" if kind.startswith("faiss") else kind)
    model = fitted("MIND")
    own, found = model.recommend(k=5), model.recommend(k=5, index=model.index(kind))
    assert (found.items == own.items).mean() > 0.95


@pytest.mark.parametrize("name", WITHOUT_VECTORS)
def test_a_model_without_vectors_says_so(name: str) -> None:
    model, index = fitted(name), ExactIndex(np.eye(ITEMS, dtype=np.float32))
    similar = ExactIndex(np.eye(ITEMS, dtype=np.float32), metric="cosine")
    for ask in (
        model.index,
        lambda: model.recommend(index=index),
        lambda: model.similar_items(103, index=similar),
        lambda: model.item_vectors,
    ):
        with pytest.raises(ValueError, match=f"{name} has no vectors of users and items that an index could compare"):
            ask()


def test_indexes_that_do_not_belong() -> None:
    model: Recommender = fitted("YoutubeDNN")
    with pytest.raises(
        ValueError, match="index: expected one that this model made, of 16 numbers for each item, got 3"
    ):
        model.recommend(index=ExactIndex(np.ones((ITEMS, 3), dtype=np.float32)))
    with pytest.raises(ValueError, match="index: expected codes of 20 items, got 20"):
        model.recommend(index=ExactIndex(np.ones((ITEMS + 1, 16), dtype=np.float32)))
    with pytest.raises(ValueError, match="index: expected an index by inner product"):
        model.recommend(index=ExactIndex(np.ones((ITEMS, 16), dtype=np.float32), metric="cosine"))
    with pytest.raises(ValueError, match="index: expected an index by inner product"):
        model.recommend(index=model.index(metric="cosine"))
    with pytest.raises(ValueError, match=r"index: expected an index by cosine, as index\(metric='cosine'\)"):
        model.similar_items(103, index=model.index())
    with pytest.raises(AttributeError, match="YoutubeDNN: it has learned nothing yet"):
        make("YoutubeDNN").index()
