"""What a recommender gives to an index, and searching in one instead of all items."""

import numpy as np
import pytest

from logq.retrieval import ExactIndex
from recommender_cases import ALL, fitted


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("ItemKNN", "Popularity")])
def test_products_of_vectors_are_the_scores_of_recommend(name):
    model = fitted(name)
    users = model.user_ids[:5]
    best = model.recommend(users, k=3, exclude_seen=False)
    queries = model.query_vectors(users)
    products = queries @ model.search_vectors.T
    scores = products.max(axis=1) if products.ndim == 3 else products
    assert np.allclose(np.sort(scores, axis=1)[:, :-4:-1], best.scores, rtol=1e-4, atol=1e-5)


def test_another_index_is_searched_until_it_is_taken_away():
    model = fitted("YoutubeDNN")
    user = model.user_ids[0]
    usual = model.recommend(user, k=3).items.tolist()
    try:
        model.use_index(ExactIndex(-model.search_vectors))
        assert model.recommend(user, k=3).items.tolist() != usual
    finally:
        model.use_index(None)
    assert model.recommend(user, k=3).items.tolist() == usual


def test_an_index_of_other_items_is_refused():
    model = fitted("YoutubeDNN")
    rows = model.search_vectors
    with pytest.raises(
        ValueError, match=rf"index: expected {rows.shape[0]} items of {rows.shape[1]} numbers, got 2 of 3"
    ):
        model.use_index(ExactIndex(np.ones((2, 3), np.float32)))
