"""Layers for histories against the loop that a student would write, one item and one head at a time, in float64."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from logq.logs import Interactions, NextItems, Sequences
from logq.recommenders.events.histories import Histories
from logq.recommenders.events.known_log import KnownLog
from logq.recommenders.layers.causal_attention import CausalAttention
from logq.recommenders.layers.layer_config import LAYERS, LayerConfig
from logq.recommenders.layers.sequence_layer import HistoryLayout
from logq.recommenders.neural.query_export import QueryTower
from logq.recommenders.sasrec import SASRec, SASRecEncoder
from model_cases import C, D, batch
from recommender_cases import planted_log, planted_split

LENGTH = 7
"""Of the histories; the models of the tests take nine."""

Xs = list[Tensor]
"""A vector for each item of one history."""


# --------------------------------------------------------------------------------------------------- a student's loop


def norm(layer: Any, x: Tensor) -> Tensor:
    x = (x - x.mean()) / torch.sqrt(x.var(unbiased=False) + layer.eps)
    return x * layer.weight + layer.bias


def gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def silu(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-x))


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-x))


def apply(layer: Any, x: Tensor) -> Tensor:
    return layer.weight @ x + (0 if layer.bias is None else layer.bias)


def attend(block: Any, xs: Xs) -> Xs:
    found, width = [], D // block.heads
    parts = [apply(block.query_key_value, x).split(D) for x in xs]
    for i in range(len(xs)):
        heads = []
        for head in range(block.heads):
            cut = slice(head * width, (head + 1) * width)
            scores = []
            for j in range(i + 1):
                score = parts[i][0][cut] @ parts[j][1][cut] / math.sqrt(width)
                scores.append(score if block.distance_bias is None else score + block.distance_bias[i - j, head])
            weights = torch.exp(torch.stack(scores))
            heads.append(sum(w / weights.sum() * part[2][cut] for w, part in zip(weights, parts, strict=False)))
        found.append(apply(block.project, torch.cat(heads)))
    return found


def attention(block: Any, xs: Xs) -> Xs:
    return feed_forward(block, mixing(block, xs, lambda xs: attend(block, xs), block.attention_norm))


def ligr(block: Any, xs: Xs) -> Xs:
    seen = attend(block, [norm(block.attention_norm, x) for x in xs])
    xs = [x + sigmoid(apply(block.attention_gate, x)) * y for x, y in zip(xs, seen, strict=True)]
    found = []
    for x in xs:
        gate, value = apply(block.expand, norm(block.feed_forward_norm, x)).chunk(2)
        found.append(x + sigmoid(apply(block.feed_forward_gate, x)) * apply(block.contract, silu(gate) * value))
    return found


def gru4rec(block: Any, xs: Xs) -> Xs:
    state, found = torch.zeros(block.hidden, dtype=torch.float64), []
    for x in xs:
        of_input = (block.gru.weight_ih_l0 @ x + block.gru.bias_ih_l0).chunk(3)
        of_state = (block.gru.weight_hh_l0 @ state + block.gru.bias_hh_l0).chunk(3)
        reset, update = (sigmoid(a + b) for a, b in zip(of_input[:2], of_state[:2], strict=True))
        state = (1 - update) * torch.tanh(of_input[2] + reset * of_state[2]) + update * state
        found.append(apply(block.project, state))
    return found


def mixing(block: Any, xs: Xs, change: Callable[[Xs], Xs], layer_norm: Any) -> Xs:
    """The two ways of adding what a part of a layer makes."""
    if block.norm_first:
        return [x + y for x, y in zip(xs, change([norm(layer_norm, x) for x in xs]), strict=True)]
    return [norm(layer_norm, x + y) for x, y in zip(xs, change(xs), strict=True)]


def feed_forward(block: Any, xs: Xs) -> Xs:
    return mixing(
        block,
        xs,
        lambda xs: [apply(block.contract, gelu(apply(block.expand, x))) for x in xs],
        block.feed_forward_norm,
    )


def at_the_end(xs: Xs, window: int) -> Tensor:
    """A window (N, D) that ends with a history, after zeros."""
    return torch.cat([torch.zeros(window - len(xs), D, dtype=torch.float64), torch.stack(xs)])


def bsarec(block: Any, xs: Xs) -> Xs:
    def filtered(xs: Xs) -> Xs:
        found = []
        for i, x in enumerate(xs):
            seen = xs[: i + 1] if block.causal_filter else xs
            waves = torch.fft.rfft(at_the_end(seen, block.max_length), dim=0, norm="ortho")
            waves[5 // 2 + 1 :] = 0
            low = torch.fft.irfft(waves, n=block.max_length, dim=0, norm="ortho")[i - len(seen)]
            found.append(low + block.beta**2 * (x - low))
        return found

    one, other = (
        mixing(block, xs, *how)
        for how in ((filtered, block.filter_norm), (lambda xs: attend(block, xs), block.attention_norm))
    )
    return feed_forward(block, [block.alpha * a + (1 - block.alpha) * b for a, b in zip(one, other, strict=True)])


def wearec(block: Any, xs: Xs) -> Xs:
    def mixed(xs: Xs) -> Xs:
        window, frequencies, width = block.max_length, block.max_length // 2 + 1, D // block.heads
        x = at_the_end(xs, window)
        written = apply(block.write, torch.nn.functional.gelu(apply(block.read, torch.stack(xs).mean(dim=0))))
        scale, offset = written.view(2, block.heads, frequencies)
        found = torch.zeros_like(x)
        for head in range(block.heads):
            cut = slice(head * width, (head + 1) * width)
            waves = torch.fft.rfft(x[:, cut], dim=0, norm="ortho")
            for k in range(frequencies):
                waves[k] = (
                    waves[k] * block.scale[head, k] * (1 + scale[head, k]) + block.offset[head, k] + offset[head, k]
                )
            found[:, cut] = block.alpha * torch.fft.irfft(waves, n=window, dim=0, norm="ortho")
        wavelet = torch.zeros_like(x)
        for pair in range((window + 1) // 2):
            new, old = window - 1 - 2 * pair, window - 2 - 2 * pair
            of_old = x[old] if old >= 0 else torch.zeros(D, dtype=torch.float64)
            approximation, detail = (of_old + x[new]) / 2, (of_old - x[new]) / 2 * block.detail[pair]
            wavelet[new] = approximation - detail
            if old >= 0:
                wavelet[old] = approximation + detail
        found += (1 - block.alpha) * wavelet
        return list(found[window - len(xs) :])

    return feed_forward(block, mixing(block, xs, mixed, block.filter_norm)) if xs else []


def hstu(block: Any, xs: Xs, times: list[float]) -> Xs:
    normed = [norm(block.input_norm, x) for x in xs]
    parts = [silu(apply(block.expand, x)).split(D) for x in normed]
    found, width = [], D // block.heads
    for i, x in enumerate(xs):
        mixed = torch.zeros(D, dtype=torch.float64)
        for head in range(block.heads):
            cut = slice(head * width, (head + 1) * width)
            for j in range(i + 1):
                score = parts[i][1][cut] @ parts[j][2][cut]
                if block.distance_bias is not None:
                    score = score + block.distance_bias[i - j, head]
                if block.gap_bias is not None:
                    bucket = min(int(math.log(max(1, times[j] - times[i])) / 0.301), len(block.gap_bias) - 2)
                    unknown = times[i] < 0 or times[j] < 0
                    score = score + block.gap_bias[-1 if unknown else bucket, head]
                mixed[cut] += silu(score) / (i + 1) * parts[j][3][cut]
        found.append(x + apply(block.project, parts[i][0] * norm(block.mixed_norm, mixed)))
    return found


def fuxi_linear(block: Any, xs: Xs, times: list[float]) -> Xs:
    """One state for each sum, which takes in one item after the other; waves are complex numbers."""
    width, half = D // block.heads, block.parts // 2
    of_content = torch.zeros(block.heads, width, width, dtype=torch.float64)
    of_time = torch.zeros(block.widths[4], dtype=torch.complex128)
    of_place = torch.zeros(16, block.widths[5], dtype=torch.complex128)
    steps, then, found = 10_000 ** (-torch.arange(16, dtype=torch.float64) / 16), None, []
    for x, age in zip(xs, times, strict=False):
        u, q, k, v, t, p = apply(block.expand, norm(block.input_norm, x)).split(block.widths)
        q, k, v = (silu(part).view(block.heads, width) for part in (q, k, v))
        for head in range(block.heads):
            of_content[head] *= torch.exp(-torch.exp(block.content_fading[head]))
            of_content[head] += torch.outer(k[head], v[head])
        parts = [norm(block.content_norm, torch.cat([q[head] @ of_content[head] for head in range(block.heads)]))]
        if half:
            seen, shares = torch.zeros_like(t), block.time_shares.repeat_interleave(len(t) // block.parts, dim=1)
            if age >= 0:
                for i in range(len(t)):
                    part = i * block.parts // len(t)
                    turns = 2 * math.pi / 16 ** (part % half)
                    if then is not None:
                        fading = math.log(1 + math.exp(block.time_fading[part % half]))
                        of_time[i] *= torch.exp(
                            (then - age) * turns * torch.tensor(complex(-fading, 1), dtype=torch.complex128)
                        )
                    of_time[i] += t[i]
                    seen[i] = of_time[i].imag if part < half else of_time[i].real
                then = age
            parts.append(norm(block.time_norm, shares[0] * seen + shares[1] * t))
        if len(p):
            of_place = of_place * torch.exp(1j * steps)[:, None] + p
            seen = block.waves[0] @ of_place.real + block.waves[1] @ of_place.imag
            parts.append(norm(block.place_norm, block.place_shares[0] * seen + block.place_shares[1] * p))
        x = x + apply(block.project, silu(u) * torch.cat(parts))
        gate, value = apply(block.gate, norm(block.feed_forward_norm, x)).chunk(2)
        found.append(x + apply(block.contract, silu(gate) * value))
    return found


STUDENT: dict[str, Callable[..., Xs]] = {
    "attention": attention,
    "ligr": ligr,
    "bsarec": bsarec,
    "wearec": wearec,
    "hstu": hstu,
    "fuxi_linear": fuxi_linear,
    "gru4rec": gru4rec,
}


def encoded(model: SASRecEncoder, items: list[int], times: list[float]) -> Xs:
    """The output at each item of a history."""
    config = model.config
    xs = []
    for place, item in enumerate(items):
        x = model.watched.weight[item]
        x = x if config.norm == "post" else math.sqrt(D) * x
        if config.positions == "start":
            x = x + model.places.weight[place]
        if config.positions == "end":
            x = x + model.places.weight[len(items) - 1 - place]
        xs.append(norm(model.norm, x) if config.norm == "post" else x)
    for block in model.blocks:
        xs = STUDENT[config.layer](block, xs, *([times] if "time_buckets" in LAYERS[config.layer].options else []))
    return [norm(model.norm, x) for x in xs] if config.norm == "pre" else xs


def made(**settings: Any) -> SASRecEncoder:
    """An encoder in float64 whose weights are far enough from 0 to tell mistakes apart."""
    torch.manual_seed(1)
    model = SASRecEncoder(C, D, **{"max_length": 9, "dropout": 0.0, **settings}).double().eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.add_(0.3 * torch.randn(parameter.shape, dtype=torch.float64))
    return model


CASES: dict[str, dict[str, Any]] = {
    "attention": {"heads": 2},
    "attention, end": {"positions": "end"},
    "attention, relative": {"positions": "relative", "heads": 4, "hidden": 12},
    "attention, none, post": {"positions": "none", "norm": "post"},
    "attention, relative, post": {"positions": "relative", "norm": "post", "heads": 2},
    "attention, end, post": {"positions": "end", "norm": "post"},
    "ligr": {"layer": "ligr"},
    "ligr, relative": {"layer": "ligr", "positions": "relative", "heads": 2, "hidden": 12},
    "bsarec": {"layer": "bsarec"},
    "bsarec, pre": {"layer": "bsarec", "norm": "pre", "heads": 2, "positions": "relative", "alpha": 0.4},
    "bsarec, window": {"layer": "bsarec", "causal_filter": False, "positions": "end"},
    "wearec": {"layer": "wearec", "heads": 2},
    "wearec, even": {"layer": "wearec", "max_length": 8, "alpha": 0.6, "positions": "start", "norm": "pre"},
    "hstu": {"layer": "hstu", "heads": 2, "time_buckets": 9},
    "hstu, start": {"layer": "hstu", "positions": "start", "time_buckets": 0},
    "fuxi_linear": {"layer": "fuxi_linear", "heads": 2, "time_buckets": 3},
    "fuxi_linear, start": {"layer": "fuxi_linear", "positions": "start", "time_buckets": 0, "hidden": 12},
    "fuxi_linear, none": {"layer": "fuxi_linear", "positions": "none", "time_buckets": 2, "blocks": 1},
    "gru4rec": {"layer": "gru4rec", "hidden": 12},
    "gru4rec, start": {"layer": "gru4rec", "blocks": 1, "positions": "start"},
}


def sees_later_items(settings: dict[str, Any]) -> str:
    return LayerConfig(**{name: value for name, value in settings.items() if name != "max_length"}).sees_later_items


AHEAD = [name for name, settings in CASES.items() if sees_later_items(settings)]
"""Cases in which what is after an item counts."""


def with_times(columns: dict[str, Tensor]) -> dict[str, Tensor]:
    """Gaps of none, of less than the first bucket, of several, and beyond the last; one time is not known."""
    times = torch.tensor([[3000, 3000, 190, 41, 40, 7, 0], [5, 1, 0, -1, -1, -1, -1], [0] + 6 * [-1], 7 * [-1]])
    return columns | {"history.time": torch.cat([times, torch.tensor([[9, 8, -1, 0, -1, -1, -1]])])}


def test_every_layer_has_a_case():
    assert {settings.get("layer", "attention") for settings in CASES.values()} == set(LAYERS) == set(STUDENT)


@pytest.mark.parametrize("padded", [False, True], ids=["packed", "padded"])
@pytest.mark.parametrize("name", CASES)
def test_it_is_the_loop_that_a_student_would_write(name: str, padded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model, columns = made(**CASES[name]), with_times(batch())
    if padded:
        monkeypatch.setattr("logq.recommenders.sasrec.keeps_sizes", lambda _: True)
    rows = [[item for item in row if item >= 0] for row in columns["history"].tolist()]
    outputs = [encoded(model, items, row) for items, row in zip(rows, columns["history.time"].tolist(), strict=True)]
    last = torch.stack([xs[-1] if xs else torch.zeros(D, dtype=torch.float64) for xs in outputs])
    torch.testing.assert_close(model.query(columns), last, rtol=1e-9, atol=1e-9)
    if name not in AHEAD:
        queries, targets = model.training_queries(columns)
        wanted = torch.stack([x for xs in outputs for x in xs])
        kept = columns["targets"][columns["history"] >= 0] >= 0
        torch.testing.assert_close(queries[targets >= 0], wanted[kept], rtol=1e-9, atol=1e-9)


# ---------------------------------------------------------------------------------------------------------- causality


@pytest.mark.parametrize("name", [name for name in CASES if name not in AHEAD])
def test_what_comes_later_changes_nothing(name: str) -> None:
    """And an output is that of the history that ends there."""
    model, history = made(**CASES[name]), torch.tensor([[3, 5, 8, 1, 19, 2, 7]])
    columns = {"targets": history, "history.time": torch.tensor([[3000, 3000, 190, 41, 40, 7, 0]])}
    before = model.training_queries(columns | {"history": history})[0]
    for place in range(1, LENGTH):
        changed = history.clone()
        changed[0, place] = 11
        after = model.training_queries(columns | {"history": changed})[0]
        assert torch.equal(before[:place], after[:place])
        assert not torch.equal(before[place], after[place])
        times = columns["history.time"][:, : place + 1]
        alone = model.query({"history": history[:, : place + 1], "history.time": times - times[:, -1:]})[0]
        torch.testing.assert_close(before[place], alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", AHEAD)
def test_what_sees_later_items_is_not_trained_at_all_positions(name: str) -> None:
    model, columns = made(**CASES[name]), batch()
    named = sees_later_items(CASES[name])
    with pytest.raises(ValueError, match="targets: expected one target after the last item of a history, with ") as e:
        model.training_queries(columns)
    assert named in str(e.value)
    queries, _ = model.training_queries({key: columns[key] for key in ("history", "target")})
    assert torch.equal(queries, model.query(columns))


@pytest.mark.parametrize("name", AHEAD)
@pytest.mark.parametrize("windows", [{"overlap": 3}, {"last_only": True}, {"overlap": 3, "examples": "positions"}])
def test_options_of_windows_are_named_where_a_layer_learns_from_prefixes(name: str, windows: dict[str, Any]) -> None:
    settings = CASES[name] | windows
    wrong = "examples" if "examples" in windows else next(iter(windows))
    with pytest.raises(ValueError, match=f"^{wrong}: expected .*, with .*, which learns from prefixes, got "):
        SASRec(**settings)
    SASRec(**settings | {"examples": "prefixes"})


def test_relative_positions_do_not_know_where_the_window_begins() -> None:
    """Two blocks see the last items alike once what came before them is told apart by nothing but distance."""
    model = made(positions="relative", blocks=1)
    model.blocks[0].distance_bias[3:] = -torch.inf
    long, short = torch.tensor([[9, 4, 3, 5, 8]]), torch.tensor([[3, 5, 8]])
    torch.testing.assert_close(model.query({"history": long}), model.query({"history": short}))


# ------------------------------------------------------------------------------------------------------------ dropout


def test_dropout_of_attention_keeps_the_mean_and_is_seeded() -> None:
    model, history = made(attention_dropout=0.5, positions="relative", blocks=1).train(), torch.tensor([[3, 5, 8, 1]])
    block = model.blocks[0]
    assert isinstance(block, CausalAttention)
    torch.manual_seed(3)
    one = model.query({"history": history})
    torch.manual_seed(3)
    assert torch.equal(model.query({"history": history}), one)
    assert not torch.equal(model.query({"history": history}), one)
    expected = made(positions="relative", blocks=1)
    query, key = (torch.randn(1, 1, 4, D, dtype=torch.float64) for _ in range(2))
    value = torch.eye(4, D, dtype=torch.float64)[None, None]
    layout = HistoryLayout(4, torch.tensor([4]))
    mean = sum(block._mixed(query, key, value, layout) for _ in range(4000)) / 4000
    block.distance_bias.copy_(expected.blocks[0].distance_bias)
    torch.testing.assert_close(mean, expected.blocks[0]._mixed(query, key, value, layout), rtol=0, atol=0.06)


def test_dropouts_are_those_that_were_asked_for() -> None:
    model = SASRecEncoder(C, D, dropout=0.25, embedding_dropout=0.5, attention_dropout=0.75)
    assert (model.dropout.dropped, model.blocks[0].dropout.dropped) == (128, 64)
    assert model.blocks[0].weight_dropout.dropped == 192
    assert SASRecEncoder(C, D, dropout=0.25).dropout.dropped == 64


def test_init_std() -> None:
    torch.manual_seed(1)
    model = SASRecEncoder(2000, 32, layer="ligr", init_std=0.1)
    for weight in (model.watched.weight, model.places.weight, model.blocks[1].query_key_value.weight):
        assert abs(weight.std().item() - 0.1) < 0.005
    assert abs(SASRecEncoder(2000, 32).watched.weight.std().item() - 0.02) < 0.001


# ----------------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layer": "lstm"}, r"layer: expected one of attention, ligr, .*, got 'lstm'"),
        ({"positions": "middle"}, "positions: expected one of start, end, relative, none, got 'middle'"),
        ({"layer": "ligr", "norm": "post"}, "norm: expected 'pre', as layer 'ligr' takes no other, got 'post'"),
        ({"layer": "gru4rec", "norm": "pre"}, "norm: expected None, as layer 'gru4rec' does not read it, got 'pre'"),
        ({"layer": "gru4rec", "heads": 2}, "heads: expected 1, as layer 'gru4rec' does not read it, got 2"),
        (
            {"layer": "gru4rec", "positions": "relative"},
            "positions: expected 'none' or 'start' or 'end', as layer 'gru4rec' takes no other, got 'relative'",
        ),
        ({"heads": 3}, "heads: expected a divisor of dim = 8, got 3"),
        ({"attention_dropout": 1.0}, r"attention_dropout: expected a finite number >= 0 and <= 0.999, got 1.0"),
    ],
)
def test_settings_that_do_not_go_together(settings: dict[str, Any], message: str) -> None:
    for make in (lambda: SASRecEncoder(C, D, **settings), lambda: SASRec(D, **settings)):
        with pytest.raises(ValueError, match=f"^{message}$"):
            make()


# ---------------------------------------------------------------------------------------------------------- estimator


def fitted(name: str, **changes: Any) -> SASRec:
    settings: dict[str, Any] = {"dropout": 0.0, "lr": 0.02, "batch_size": 6, "max_length": 8, "num_sampled": 10}
    settings |= {"seed": 2, "patience": None, "ema": None, "examples": "prefixes", "epochs": 3, **CASES[name]}
    return SASRec(16, **{**settings, "blocks": 1, **changes}).fit(planted_split().train, progress=False)


LEARNERS = ["attention, relative, post", "ligr", "bsarec, pre", "wearec", "hstu", "fuxi_linear", "gru4rec"]
FEW = [pytest.param(n, marks=() if n == "wearec" else pytest.mark.slow) for n in LEARNERS]


@pytest.mark.parametrize("name", FEW)
def test_an_estimator_learns_and_goes_through_a_file(name: str, tmp_path: Path) -> None:
    model = fitted(name)
    found = model.evaluate(planted_split(), ks=(3,), exclude_seen=False, progress=False)
    assert found["HR@3"] > 0.5  # chance would give 0.15; see test_learning
    model.save(tmp_path / "m")
    again = SASRec.load(tmp_path / "m")
    assert again.settings() == model.settings()
    users = list(planted_log().user_ids.keys[:9])
    assert np.array_equal(again.query_vectors(users), model.query_vectors(users))


# -------------------------------------------------------------------------------------------------------------- times


@cache
def timed_log() -> Interactions:
    """Two items and "go": what follows is of the second item where that was a minute before, else of the first one."""
    rng = np.random.default_rng(1)
    rows: list[tuple[int, str, int]] = []
    for user in range(160):
        begin, (one, other), recent = int(rng.integers(10**8)), rng.permutation(4)[:2], user % 2
        times = (0, 600_000 if recent else 60, 600_060, 600_070)
        items = (f"a{one}", f"a{other}", "go", f"b{other if recent else one}")
        rows += [(user, item, begin + time) for item, time in zip(items, times, strict=True)]
    return Interactions.from_arrays(*map(list, zip(*rows, strict=True)))


@pytest.mark.slow
@pytest.mark.parametrize("timed", [{"layer": "hstu", "time_buckets": 64}, {"layer": "fuxi_linear"}], ids=str)
def test_time_reaches_training_and_answers_and_goes_through_a_file(timed: dict[str, Any], tmp_path: Path) -> None:
    log = timed_log()
    items, times = log.items.reshape(-1, 4).astype(np.int64), log.timestamps.reshape(-1, 4)
    settings: dict[str, Any] = {**timed, "blocks": 1, "heads": 2, "dropout": 0.0, "max_length": 4, "seed": 1}
    settings |= {"objective": "full_softmax", "lr": 0.01, "epochs": 80, "batch_size": 32, "examples": "prefixes"}
    model = SASRec(16, patience=None, ema=None, **settings).fit(log, progress=False)
    model.save(tmp_path / "m")
    again = SASRec.load(tmp_path / "m")
    timeless = Histories(items[:, :3].reshape(-1), np.arange(161) * 3, np.full(160, -1))
    request = replace(timeless, times=times[:, :3].reshape(-1))
    best = [(again._queries(asked) @ again._item_rows().T).argmax(dim=1).numpy() for asked in (request, timeless)]
    assert (best[0] == items[:, 3]).mean() > 0.9
    assert (best[1] == items[:, 3]).mean() < 0.7  # the order alone does not tell
    assert np.array_equal(again._queries(request), model._queries(request))


def test_times_of_windows_prefixes_and_requests_are_those_of_the_log() -> None:
    log = Interactions.from_arrays([1, 1, 1, 1, 2, 2], [5, 6, 7, 8, 5, 9], [10, 30, 70, 150, 7, 7])
    windows = Sequences(log, 2, times=True).batch([0, 1, 2])
    assert windows["history.time"].tolist() == [[0, -1], [40, 0], [0, -1]]
    prefixes = NextItems(log, 3, times=True).batch([0, 1, 2, 3])["history.time"]
    assert prefixes.tolist() == [[0, -1, -1], [20, 0, -1], [60, 40, 0], [0, -1, -1]]
    backwards = NextItems(log, 3, times=True, recent_first=True).batch([2])["history.time"]
    assert backwards.tolist() == [[0, 40, 60]]
    known = KnownLog.of(log)
    request = known.of_codes(np.array([1, -1, 0]))
    assert request.ages(3).tolist() == [[0, 0, -1], [-1, -1, -1], [120, 80, 0]]
    assert request.select(np.array([False, False, True])).ages(2).tolist() == [[80, 0]]
    assert request.part(0, 1).ages(2).tolist() == [[0, 0]]
    assert known.given([[6, 5]], None).ages(3).tolist() == [[-1, -1]]
    without = Interactions.from_arrays([1, 1], [5, 6])
    for make in (Sequences, NextItems):
        with pytest.raises(ValueError, match="times: expected False, as the log has no times, got True"):
            make(without, 2, times=True)


def test_a_log_without_times_is_learned_by_positions_and_it_is_said() -> None:
    log = Interactions.from_sessions([["tea", "milk", "cup", "spoon"]] * 8)
    model = SASRec(8, layer="hstu", epochs=1, num_sampled=2, seed=1)
    with pytest.warns(UserWarning, match="layer 'hstu' knows positions alone, as the log has no times"):
        model.fit(log, progress=False)
    assert model.metadata == {"times": False}
    assert len(model.recommend(histories=["tea"], k=1).items) == 1
    with pytest.raises(KeyError, match=r"history\.time: the model needs this column, the batch has history"):
        SASRecEncoder(C, D, layer="hstu").query({"history": torch.tensor([[3]])})


# ------------------------------------------------------------------------------------------------------------- export


@pytest.mark.filterwarnings("ignore:The tensor attribute:UserWarning")  # what torch says of its own GRU
@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n == "wearec" else pytest.mark.slow) for n in CASES])
def test_an_exported_layer_answers_for_other_batches(name: str) -> None:
    names = ["history", "history.time"] if CASES[name].get("time_buckets") else ["history"]
    tower = QueryTower(made(**CASES[name]), names, cosine=False, extra=False).eval()
    dynamic = {0: torch.export.Dim("rows"), 1: torch.export.Dim("length")}
    columns = tuple(with_times(batch())[name] for name in names)
    graph = torch.export.export(tower, columns, dynamic_shapes=((dynamic,) * len(names),), strict=False).module()
    for rows, length in (([0, 1, 2, 3, 4], 7), ([0], 3), ([1, 2], 1), ([4, 1, 3, 0, 0, 2], 5)):
        other = [column[rows][:, :length] for column in columns]
        torch.testing.assert_close(graph(*other), tower(*other), rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNERS)
def test_onnx_answers_as_the_model_does(name: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model = fitted(name, epochs=1, max_length=5)
    names = model.export(tmp_path / "tower.onnx")
    assert names == (["history", "history.time"] if CASES[name].get("time_buckets") else ["history"])
    session = onnxruntime.InferenceSession((tmp_path / "tower.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    for codes in (np.arange(1), np.arange(7)):
        inputs = model._inputs(model.known.of_codes(codes))
        for length in range(1, 1 + inputs["history"].shape[1]):
            given = {key: np.ascontiguousarray(inputs[key][:, :length]) for key in names}
            (answer,) = session.run(None, given)
            with torch.no_grad():
                expected = model.model.query({key: torch.from_numpy(value) for key, value in given.items()})
            np.testing.assert_allclose(answer, expected.numpy(), rtol=1e-5, atol=1e-5)
