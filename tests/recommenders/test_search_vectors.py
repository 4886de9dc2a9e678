"""What a recommender gives to an index."""

import numpy as np
import pytest

from recommender_cases import ALL, WITHOUT_VECTORS, fitted


@pytest.mark.parametrize("name", [name for name in ALL if name not in (*WITHOUT_VECTORS, "Popularity")])
def test_products_of_vectors_are_the_scores_of_recommend(name):
    model = fitted(name)
    users = model.user_ids[:5]
    best = model.recommend(users, k=3, exclude_seen=False)
    queries = model.query_vectors(users)
    products = queries @ model.search_vectors.T
    scores = products.max(axis=1) if products.ndim == 3 else products
    assert np.allclose(np.sort(scores, axis=1)[:, :-4:-1], best.scores, rtol=1e-4, atol=1e-5)
