"""GRU and LSTM against the equations, word by word, with the state handed on."""

import numpy as np
import pytest
import torch

from logq.language_models.recurrent import RecurrentEncoder

V, DIM, HIDDEN = 9, 3, 4


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def step(kind: str, layer: torch.nn.Module, x: np.ndarray, state: list[np.ndarray]) -> list[np.ndarray]:
    """One word for one row: the new h, or the new h and c."""
    weights = {name: value.detach().numpy() for name, value in layer.named_parameters()}
    own = weights["weight_hh_l0"] @ state[0] + weights["bias_hh_l0"]
    given = weights["weight_ih_l0"] @ x + weights["bias_ih_l0"]
    n = len(state[0])
    if kind == "gru":
        reset, update = sigmoid(given[:n] + own[:n]), sigmoid(given[n : 2 * n] + own[n : 2 * n])
        new = np.tanh(given[2 * n :] + reset * own[2 * n :])
        return [(1 - update) * new + update * state[0]]
    into, forget, new, out = (given + own).reshape(4, n)
    cell = sigmoid(forget) * state[1] + sigmoid(into) * np.tanh(new)
    return [sigmoid(out) * np.tanh(cell), cell]


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("layers", [1, 2])
def test_queries_are_those_of_the_equations(cell: str, layers: int) -> None:
    torch.manual_seed(1)
    model = RecurrentEncoder(V, DIM, HIDDEN, cell=cell, layers=layers, dropout=0.5).double().eval()
    words = torch.randint(0, V, (2, 7), generator=torch.Generator().manual_seed(2))
    state = model.first_state(2)
    first, state = model(words[:, :3], state)
    second, state = model(words[:, 3:], state)
    found = torch.cat([first, second], dim=1).detach().numpy()
    table = model.words.weight.detach().numpy()
    for row in range(2):
        states = [[np.zeros(HIDDEN) for _ in range(len(state))] for _ in range(layers)]
        for place in range(7):
            x = table[words[row, place]]
            for number, layer in enumerate(model.layers):
                states[number] = step(cell, layer, x, states[number])
                x = states[number][0]
            np.testing.assert_allclose(found[row, place], x, rtol=1e-12, atol=1e-14)
        for number in range(layers):
            for part in range(len(state)):
                np.testing.assert_allclose(state[part, number, row].detach(), states[number][part], atol=1e-12)


def test_the_gradient_stays_behind_a_detached_state() -> None:
    model = RecurrentEncoder(V, DIM, HIDDEN, sparse=True)
    _, state = model(torch.tensor([[1, 2]]), model.first_state(1))
    queries, _ = model(torch.tensor([[5, 5]]), state.detach())
    queries.sum().backward()
    gradient = model.words.weight.grad
    assert gradient is not None
    assert gradient.coalesce().indices().tolist() == [[5]]
    assert model.sparse_parameters() == [model.words.weight]


def test_dropout_is_on_words_and_queries_in_training_only() -> None:
    model = RecurrentEncoder(V, DIM, HIDDEN, dropout=0.9)
    words = torch.zeros(1, 100, dtype=torch.int64)
    assert float((model(words, model.first_state(1))[0] == 0).double().mean()) > 0.5
    assert not bool((model.eval()(words, model.first_state(1))[0] == 0).any())


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="cell: expected one of gru, lstm, got 'rnn'"):
        RecurrentEncoder(V, DIM, HIDDEN, cell="rnn")
    model = RecurrentEncoder(V, DIM, HIDDEN)
    with pytest.raises(ValueError, match=r"state: expected \(S, layers, B, D\) = \(1, 1, 2, 4\), got \(1, 1, 1, 4\)"):
        model(torch.zeros(2, 3, dtype=torch.int64), model.first_state(1))
    with pytest.raises(ValueError, match=r"words: expected class ids in \[0, 9\).* got 9"):
        model(torch.tensor([[9]]), model.first_state(1))
