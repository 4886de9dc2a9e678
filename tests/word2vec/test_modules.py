"""Skip-gram and CBOW queries against loops, and the gradients that reach the word vectors."""

import pytest
import torch

from logq.word2vec.modules import CBOW, SkipGram

CONTEXTS = torch.tensor([[3, 5, 3, -1], [0, -1, -1, -1], [-1, -1, -1, -1]])


def test_skip_gram_looks_vectors_up_and_touches_no_other_row():
    model = SkipGram(7, 3)
    inputs = torch.tensor([4, 4, 1])
    query = model.query(inputs)
    assert torch.equal(query, torch.stack([model.vectors[4], model.vectors[4], model.vectors[1]]))
    query.sum().backward()
    gradient = model.vectors.grad
    assert gradient is not None
    assert gradient.is_sparse
    assert set(gradient.coalesce().indices()[0].tolist()) == {1, 4}
    assert gradient.to_dense()[4].tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize("mean", [True, False])
def test_cbow_query_is_the_mean_or_sum_of_the_words_that_are_there(mean):
    model = CBOW(7, 3, mean=mean)
    query = model.query(CONTEXTS)
    for row, words in zip(query, ([3, 5, 3], [0], []), strict=True):
        expected = torch.zeros(3)
        for word in words:
            expected = expected + model.vectors[word]
        if mean and words:
            expected = expected / len(words)
        torch.testing.assert_close(row, expected)


@pytest.mark.parametrize("mean", [True, False])
def test_every_context_word_gets_the_whole_gradient(mean):
    """As in word2vec.c, for the mean too: autograd's own mean would divide by the three words of the first row."""
    model = CBOW(7, 3, mean=mean)
    upstream = torch.tensor([[1.0, 2.0, 4.0], [8.0, 8.0, 8.0], [5.0, 5.0, 5.0]])
    (model.query(CONTEXTS) * upstream).sum().backward()
    gradient = model.vectors.grad
    assert gradient is not None
    assert gradient.is_sparse
    dense = gradient.to_dense()
    assert dense[5].tolist() == [1.0, 2.0, 4.0]
    assert dense[3].tolist() == [2.0, 4.0, 8.0]  # stands there twice
    assert dense[0].tolist() == [8.0, 8.0, 8.0]
    assert set(gradient.coalesce().indices()[0].tolist()) == {0, 3, 5}


@pytest.mark.parametrize("kind", [SkipGram, CBOW])
def test_first_vectors_are_those_of_word2vec(kind):
    model = kind(500, 20, generator=torch.Generator().manual_seed(1)).requires_grad_(False)
    assert float(model.vectors.abs().max()) <= 0.5 / 20
    assert float(model.vectors.abs().max()) > 0.49 / 20
    assert abs(float(model.vectors.mean())) < 0.001
    again = kind(500, 20, generator=torch.Generator().manual_seed(1))
    assert torch.equal(model.vectors, again.vectors)


@pytest.mark.parametrize("kind", [SkipGram, CBOW])
@pytest.mark.parametrize("name", ["num_words", "dim"])
def test_sizes_are_checked(kind, name):
    with pytest.raises(ValueError, match=f"^{name}: expected an integer >= 1, got 0"):
        kind(**{"num_words": 3, "dim": 3, name: 0})
