"""The formula of Bengio et al., written out with b, W, U, d and H."""

import numpy as np
import pytest
import torch

from logq.language_models.nnlm import NNLMEncoder

V, DIM, CONTEXT, HIDDEN = 11, 3, 4, 5


@pytest.mark.parametrize("direct", [True, False])
def test_logits_are_those_of_the_paper(direct: bool) -> None:
    torch.manual_seed(1)
    model = NNLMEncoder(V, DIM, CONTEXT, HIDDEN, direct=direct, dropout=0.5).double().eval()
    rng = np.random.default_rng(2)
    b, u = rng.normal(size=V), rng.normal(size=(V, HIDDEN))
    w = rng.normal(size=(V, CONTEXT * DIM)) if direct else np.zeros((V, CONTEXT * DIM))
    c, d, h = (value.detach().numpy() for value in (model.words.weight, model.layer.bias, model.layer.weight))
    contexts = rng.integers(0, V, size=(6, CONTEXT))
    table = np.concatenate([u, w], axis=1) if direct else u
    found = model.query(torch.from_numpy(contexts)).detach().numpy() @ table.T + b
    for row, words in enumerate(contexts):
        x = np.concatenate([c[word] for word in words])
        for word in range(V):
            hidden = [np.tanh(d[unit] + sum(h[unit, i] * x[i] for i in range(len(x)))) for unit in range(HIDDEN)]
            expected = b[word] + sum(w[word] * x) + sum(u[word] * np.array(hidden))
            assert found[row, word] == pytest.approx(expected, rel=1e-12)


def test_sizes_and_dropout() -> None:
    model = NNLMEncoder(V, DIM, CONTEXT, HIDDEN, dropout=0.9)
    contexts = torch.zeros(50, CONTEXT, dtype=torch.int64)
    assert model.query(contexts).shape == (50, model.out_features) == (50, HIDDEN + CONTEXT * DIM)
    assert float((model(contexts) == 0).double().mean()) > 0.5
    assert not bool((model.eval()(contexts) == 0).any())


def test_sparse_gradients_are_asked_for() -> None:
    model = NNLMEncoder(V, DIM, CONTEXT, HIDDEN, sparse=True)
    model.query(torch.tensor([[1, 1, 4, 1]])).sum().backward()
    gradient = model.words.weight.grad
    assert gradient is not None
    assert gradient.is_sparse
    assert model.sparse_parameters() == [model.words.weight]
    assert NNLMEncoder(V, DIM, CONTEXT, HIDDEN).sparse_parameters() == []


@pytest.mark.parametrize(
    ("contexts", "message"),
    [
        (torch.tensor([[1, 2, 3]]), r"contexts: expected \(B, 4\), got \(1, 3\)"),
        (torch.tensor([[1, 2, 3, 11]]), r"contexts: expected class ids in \[0, 11\).* got 11 at position \(0, 3\)"),
    ],
)
def test_wrong_contexts(contexts: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NNLMEncoder(V, DIM, CONTEXT, HIDDEN).query(contexts)
