"""Perplexity and scores against loops in float64 that go through the text word by word."""

from typing import Any

import numpy as np
import pytest
import torch

from language_cases import OBJECTIVES, OTHER_TEXT, TEXT, make
from logq.language_models import LanguageModel, NeuralLanguageModel, nnlm, recurrent
from logq.language_models.output_layers import AdaptiveOutput, TreeOutput
from logq.text import read_tokens
from logq.training.devices import Device

KINDS = ("gru", "lstm", "nnlm")


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def stream(model: NeuralLanguageModel) -> list[int]:
    ids = model.vocabulary.key_to_index
    return [ids[word] for line in OTHER_TEXT for word in [*line, "</s>"]]


def queries(model: Any, ids: list[int], end: int) -> list[np.ndarray]:
    """One for each token of a text."""
    net = model.model.double()
    table = net.words.weight.detach().numpy()
    if hasattr(net, "layer"):
        weight, bias = (value.detach().numpy() for value in (net.layer.weight, net.layer.bias))
        found = []
        for place in range(len(ids)):
            context: list[int] = []
            for back in range(1, net.context + 1):
                over = place - back < 0 or (bool(context) and context[0] == end)
                context.insert(0, end if over else ids[place - back])
            x = np.concatenate([table[word] for word in context])
            found.append(np.concatenate([np.tanh(weight @ x + bias), x]))
        return found
    layer = net.layers[0]
    gru = isinstance(layer, torch.nn.GRU)
    cell: Any = (torch.nn.GRUCell if gru else torch.nn.LSTMCell)(model.dim, model.hidden).double()
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in layer.state_dict().items()})
    h = torch.zeros(1, model.hidden).double()
    state, found = (h if gru else (h, h)), []
    for word in [end, *ids[:-1]]:
        state = cell(net.words.weight[word][None], state)
        found.append((state if gru else state[0])[0].detach().numpy())
    return found


def inclusion(q: np.ndarray, num_sampled: int) -> np.ndarray:
    """How likely words are in a sample of distinct ones: after as many tries as make its size right on average."""
    least, most = 0.0, 1e9
    for _ in range(200):
        tries = (least + most) / 2
        least, most = (least, tries) if (1 - np.exp(-tries * q)).sum() > num_sampled else (tries, most)
    return 1 - np.exp(-tries * q)


def probabilities(model: Any, query: np.ndarray) -> np.ndarray:
    """(V,), by what the objective says that the logits mean."""
    reader = model._reader.double()
    if isinstance(reader, AdaptiveOutput):
        return reader.softmax.log_prob(torch.from_numpy(query)[None]).exp()[0].detach().numpy()
    if isinstance(reader, TreeOutput):
        tree = reader.tree
        dots = tree.weight.detach().numpy() @ query
        found = np.ones(tree.num_classes)
        for word in range(tree.num_classes):
            for at in range(int(tree.offsets[word]), int(tree.offsets[word + 1])):
                found[word] *= sigmoid(dots[tree.points[at]] * (1 if tree.codes[at] == 0 else -1))
        return found
    logits = reader.weight.detach().numpy() @ query + reader.bias.detach().numpy()
    shares = model.vocabulary.counts**0.75
    q = inclusion(shares / shares.sum(), model.num_sampled)
    if model.objective == "negative_sampling":
        found = np.exp(logits) * q
    elif model.objective == "gbce":
        found = sigmoid(logits + np.log(q / (1 - 0.75 * (1 - model.num_sampled / (len(q) - 1)))))
    elif model.objective in ("sampled_logistic", "full_logistic"):
        found = sigmoid(logits)
    else:
        found = np.exp(logits)
    return found / found.sum()


@pytest.fixture(scope="module")
def fitted() -> dict[tuple[str, str], NeuralLanguageModel]:
    return {}


def trained(fitted: dict[tuple[str, str], NeuralLanguageModel], kind: str, objective: str) -> NeuralLanguageModel:
    if (kind, objective) not in fitted:
        sampler = "unigram" if objective in ("negative_sampling", "gbce") else None
        fitted[kind, objective] = make(kind, objective=objective, sampler=sampler, epochs=1).fit(TEXT, progress=False)
    return fitted[kind, objective]


CASES = [("gru", objective) for objective in OBJECTIVES] + [(kind, "full_softmax") for kind in ("lstm", "nnlm")]


@pytest.mark.parametrize(("kind", "objective"), CASES)
def test_perplexity_is_that_of_a_loop(
    fitted: dict[tuple[str, str], NeuralLanguageModel], kind: str, objective: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recurrent, "EVALUATED", 7)  # the state passes through many spans
    monkeypatch.setattr(nnlm, "EVALUATED", 7)
    model: Any = trained(fitted, kind, objective)
    found = model.evaluate(OTHER_TEXT, progress=False)
    ids, end = stream(model), model.vocabulary.key_to_index["</s>"]
    pairs = zip(queries(model, ids, end), ids, strict=True)
    wanted = [np.log(probabilities(model, query)[word]) for query, word in pairs]
    model.model.float()
    model._reader.float()
    assert found.num_tokens == len(ids)
    assert found.log_prob == pytest.approx(sum(wanted), rel=2e-6)
    assert found.perplexity == pytest.approx(np.exp(-np.mean(wanted)), rel=1e-5)


@pytest.mark.parametrize(("kind", "objective"), CASES)
def test_all_words_together_have_probability_one(
    fitted: dict[tuple[str, str], NeuralLanguageModel], kind: str, objective: str
) -> None:
    model = trained(fitted, kind, objective)
    best = model.next_words("w1 w6", k=len(model.vocabulary))
    assert len(set(best.words)) == len(model.vocabulary)
    assert np.exp(best.log_prob).sum() == pytest.approx(1, abs=1e-5)
    assert (np.diff(best.log_prob) <= 0).all()
    word, value = best.words[3], best.log_prob[3]
    assert model.log_probs(f"w1 w6 {word}", end=False)[-1] == (word, pytest.approx(value, abs=1e-5))


@pytest.mark.parametrize("kind", KINDS)
def test_a_line_scores_what_a_text_of_that_line_does(
    fitted: dict[tuple[str, str], NeuralLanguageModel], kind: str
) -> None:
    model = trained(fitted, kind, "full_softmax")
    line = ["w1", "nobody", "w0"]
    assert model.evaluate([line], progress=False).log_prob == pytest.approx(model.score(line), rel=1e-6)
    assert model.log_probs(line)[1][0] == "<unk>"
    assert model.score(line) < model.score(line, end=False) < 0
    assert model.score("", end=False) == 0


def test_for_a_window_within_lines_a_text_is_its_lines(fitted: dict[tuple[str, str], NeuralLanguageModel]) -> None:
    model = trained(fitted, "nnlm", "full_softmax")
    whole = model.evaluate(OTHER_TEXT, progress=False).log_prob
    assert whole == pytest.approx(sum(model.score(line) for line in OTHER_TEXT), rel=1e-6)


def test_a_recurrent_model_remembers_the_line_before(fitted: dict[tuple[str, str], NeuralLanguageModel]) -> None:
    model = trained(fitted, "gru", "full_softmax")
    whole = model.evaluate(OTHER_TEXT, progress=False).log_prob
    assert abs(whole - sum(model.score(line) for line in OTHER_TEXT)) > 1e-3


def test_generated_lines_go_on_from_the_prompt(fitted: dict[tuple[str, str], NeuralLanguageModel]) -> None:
    model = trained(fitted, "gru", "full_softmax")
    lines = [model.generate("w1", seed=seed, max_words=6) for seed in (1, 1, 2, 3)]
    assert lines[0] == lines[1]
    assert len(set(lines)) > 1
    assert all(line.split()[0] == "w1" and len(line.split()) <= 7 for line in lines)
    greedy = model.generate("w1", temperature=0, max_words=1).split()
    assert greedy[-1] == model.next_words("w1", 1).words[0]


def test_probabilities_are_read_in_parts(
    fitted: dict[tuple[str, str], NeuralLanguageModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    for objective in ("nce", "hierarchical_softmax", "adaptive_softmax"):
        model: Any = trained(fitted, "gru", objective)
        reader = model.reader
        generator = torch.Generator().manual_seed(1)
        rows, words = torch.randn(11, 16, generator=generator), torch.randint(0, 20, (11,), generator=generator)
        wanted = reader.next_log_prob(rows)[torch.arange(11), words]
        with monkeypatch.context() as patch:
            patch.setattr("logq.language_models.output_layers.CHUNK", 3 * reader.num_words)
            torch.testing.assert_close(reader.log_prob(rows, words), wanted, rtol=1e-5, atol=1e-5)


def test_columns_and_contexts_cover_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nnlm, "BLOCK", 40)
    monkeypatch.setattr(recurrent, "BLOCK", 40)
    with read_tokens(OTHER_TEXT, progress=False) as tokens:
        ids, end = tokens.read(0, len(tokens)).tolist(), tokens.end
        model: Any = make("gru", batch_size=4)
        device = Device("cpu")
        model._vocabulary = tokens.vocabulary
        output = model._make_modules(tokens.vocabulary.counts, 1)
        columns = model._make_task(output, tokens, 1, device)
        rows = len(ids) // 4
        found = [batch["words"] for batch, _ in columns.batches(0, 0)]
        assert len(found) == columns.num_batches
        for column in range(4):
            wanted = ids[column * rows : (column + 1) * rows]
            assert [word for words in found for word in words[1:, column]] == wanted
            before = [ids[column * rows - 1] if column else end, *wanted[:-1]]
            assert [word for words in found for word in words[:-1, column]] == before
        later = [batch["words"] for batch, _ in columns.batches(0, 3)]
        assert all((one == other).all() for one, other in zip(later, found[3:], strict=True))

        model = make("nnlm", context=3)
        model._vocabulary = tokens.vocabulary
        contexts = model._make_task(model._make_modules(tokens.vocabulary.counts, 1), tokens, 1, device)
        batches = [batch for batch, _ in contexts.batches(0, 0)]
        assert len(batches) == contexts.num_batches
        pairs = sorted(
            (*context, target)
            for batch in batches
            for context, target in zip(batch["contexts"].tolist(), batch["targets"].tolist(), strict=True)
        )
        wanted_pairs, line = [], [end] * 3
        for word in ids:
            wanted_pairs.append((*line[-3:], word))
            line = [end] * 3 if word == end else [*line, word]
        assert pairs == sorted(wanted_pairs)
        assert [word for batch in batches for word in batch["targets"]] != ids
        again = [batch["targets"].tolist() for batch, _ in contexts.batches(0, 2)]
        assert again == [batch["targets"].tolist() for batch in batches[2:]]
        other = [batch["targets"].tolist() for batch, _ in contexts.batches(1, 0)]
        assert other != [batch["targets"].tolist() for batch in batches]


def test_an_unfitted_model_says_so() -> None:
    model: LanguageModel = make("gru")
    for ask in (lambda: model.score("a"), lambda: model.perplexity([["a"]]), lambda: model.save("nowhere")):
        with pytest.raises(AttributeError, match="RecurrentLM: it has learned nothing yet, call fit first"):
            ask()
