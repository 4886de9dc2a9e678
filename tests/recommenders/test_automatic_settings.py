"""Settings that a fit chooses by its log, users who validate, and learning from every prefix of a history."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

import logq
from logq import ArgumentError, ArgumentTypeError, SASRec
from logq.logs import Interactions, leave_one_out, split_by_time, split_by_user
from logq.recommenders import SASRecEncoder
from logq.recommenders.events.held_out import HeldOut
from logq.recommenders.events.log_statistics import LogStatistics
from logq.recommenders.layers import LAYERS
from logq.training.automatic_settings import AutomaticChoice, Rules, choose

FAST: dict[str, Any] = {"dim": 8, "epochs": 1, "seed": 1}


def walks(users: int, items: int, length: int, seed: int = 1) -> Interactions:
    """Users who go around a circle of items."""
    starts = np.random.default_rng(seed).integers(items, size=users)
    return Interactions.from_sessions([[int(start + step) % items for step in range(length)] for start in starts])


# ------------------------------------------------------------------------------------------------------ statistics


@pytest.mark.parametrize("max_length", [1, 3, 50])
def test_statistics_are_those_that_a_loop_counts(max_length: int) -> None:
    sessions = [[1, 2, 3, 1, 2], [5], [4, 4], [1, 2, 3, 4, 5, 6, 7, 8, 9]]
    log = Interactions.from_sessions(sessions)
    statistics = LogStatistics.of(log)
    prefixes = [session[max(0, at - max_length) : at] for session in sessions for at in range(1, len(session))]
    assert statistics.prefix_items(max_length) == sum(map(len, prefixes))
    assert statistics.num_targets == len(prefixes)
    assert statistics.num_windows(max_length) == sum(-(-(len(session) - 1) // max_length) for session in sessions)
    assert statistics.events_per_item == sum(map(len, sessions)) / 9
    assert (statistics.length_at(0.5), statistics.length_at(1.0)) == (2, 9)
    assert statistics.targets_at_most(max_length) == sum(min(len(session) - 1, max_length) for session in sessions)


def test_users_and_items_without_an_event_do_not_count() -> None:
    log = walks(20, 10, 6)
    part = log.select(np.asarray(log.users) < 5)
    statistics = LogStatistics.of(part)
    assert (statistics.num_users, statistics.num_events) == (5, 30)
    assert statistics.num_items == len(np.unique(part.items))


# ----------------------------------------------------------------------------------------------------------- rules


def test_what_is_given_stays_and_the_rest_is_chosen() -> None:
    model = SASRec(**FAST, dropout=0.125, max_length=7).fit(walks(30, 12, 9), progress=False)
    assert (model.dropout, model.max_length, model.epochs) == (0.125, 7, 1)
    assert not {"dropout", "max_length", "epochs"} & model.chosen.keys()
    assert all(getattr(model, name) == choice.value for name, choice in model.chosen.items())
    assert "auto" not in map(str, model.settings().values())


def test_each_head_has_an_equal_part_of_a_vector_whose_size_is_chosen() -> None:
    model = SASRec(heads=3, epochs=1, seed=1).fit(walks(30, 12, 9), progress=False)
    assert (model.dim, model.get_params()["dim"]) == (66, "auto")
    assert SASRec(32).dim == 32
    with pytest.raises(ArgumentError, match="heads: expected a divisor of dim = 32, got 3"):
        SASRec(32, heads=3)


@pytest.mark.parametrize(("items", "dim"), [(1_000_000, 128), (1_000_001, 64)])
def test_wide_vectors_are_for_tables_that_stay_small(items: int, dim: int) -> None:
    log = LogStatistics(10**8, 10**5, items, np.full(10**5, 1000))
    model = SASRec()
    assert choose(model.rules, log, model, model.auto)["dim"].value == dim
    assert model.examples == "positions"


@pytest.mark.parametrize("name", ["YoutubeDNN", "TwoTower"])
@pytest.mark.parametrize(("recency", "length"), [(0.6, 14), (0.1, 3), (0.99, 50), (1.0, 50)])
def test_a_mean_looks_back_as_far_as_recency_does(name: str, recency: float, length: int) -> None:
    model = getattr(logq, name)(recency=recency)
    chosen = choose(model.rules, LogStatistics.of(walks(5, 20, 8)), model, model.auto)
    assert chosen["max_length"].value == length
    assert recency**length < 1.001e-3 or length == 50


def test_an_epoch_has_as_many_updates_as_events_are_learned_from() -> None:
    statistics = LogStatistics.of(walks(1000, 50, 101))
    updates = {}
    for most in (None, 10):
        model = logq.YoutubeDNN(max_per_user=most, batch_size=100)
        updates[most] = choose(model.rules, statistics, model, model.auto)["epochs"].value
    assert updates == {None: 10, 10: 100}  # 10,000 updates of 100 events


def test_rules_see_what_was_chosen_before() -> None:
    short, long = LogStatistics.of(walks(50, 20, 8)), LogStatistics.of(walks(300, 40, 250))
    found = {}
    for name, statistics in (("short", short), ("long", long)):
        model = SASRec()
        found[name] = choose(SASRec.rules, statistics, model, model.auto)
    names = ("dim", "max_length", "examples", "layer", "positions", "norm", "pretrain")
    assert {name: found["short"][name].value for name in names} == {
        "dim": 64,
        "max_length": 10,
        "examples": "prefixes",
        "layer": "bsarec",
        "positions": "end",
        "norm": "post",
        "pretrain": 0,
    }
    assert {name: found["long"][name].value for name in names} == {
        "dim": 128,
        "max_length": 200,
        "examples": "positions",
        "layer": "attention",
        "positions": "relative",
        "norm": "pre",
        "pretrain": 20,
    }


@pytest.mark.parametrize(
    ("users", "length", "given", "expected"),
    [
        (40, 300, {}, ("prefixes", 50)),  # 570,000 items of 1.9 million
        (200, 300, {}, ("positions", 200)),  # 2.8 million
        (200, 60, {}, ("prefixes", 50)),  # hardly anything is cut
        (1900, 60, {}, ("prefixes", 50)),
        (2900, 60, {}, ("positions", 60)),
        (200, 300, {"max_length": 80}, ("prefixes", 80)),  # 4.2 million
        (200, 300, {"max_length": 120}, ("positions", 120)),
        (200, 300, {"examples": "prefixes"}, ("prefixes", 50)),
        (40, 300, {"examples": "positions"}, ("positions", 200)),
    ],
)
def test_long_histories_are_cut_for_prefixes_or_seen_in_windows(
    users: int, length: int, given: dict[str, Any], expected: tuple[str, int]
) -> None:
    model = SASRec(**given)
    choose(SASRec.rules, LogStatistics.of(walks(users, 40, length)), model, model.auto)
    assert (model.examples, model.max_length) == expected


@pytest.mark.parametrize(
    ("length", "kind", "expected"),
    [(2, SASRec, 210), (2, logq.YoutubeDNN, 210), (8, SASRec, 0), (8, logq.YoutubeDNN, 62)],
)
def test_items_with_few_events_start_from_more_epochs_of_skip_gram(length: int, kind: Any, expected: int) -> None:
    statistics, model = LogStatistics.of(walks(50, 50, length)), kind()
    assert choose(kind.rules, statistics, model, model.auto)["pretrain"].value == expected


def test_tables_in_parts_start_from_random_vectors() -> None:
    model = SASRec(tables="sharded")
    statistics = LogStatistics.of(walks(300, 40, 250))
    assert choose(SASRec.rules, statistics, model, model.auto)["pretrain"].value == 0


def test_many_events_of_an_item_need_less_dropout() -> None:
    values = []
    for log in (walks(20, 40, 6), walks(400, 10, 8)):
        model = SASRec()
        values.append(choose(SASRec.rules, LogStatistics.of(log), model, model.auto)["dropout"].value)
    assert values == [0.5, 0.2]


def test_without_validation_the_number_of_epochs_follows_from_the_log() -> None:
    model = SASRec()
    log = walks(500, 40, 9)
    chosen = choose(SASRec.rules, LogStatistics.of(log), model, model.auto)
    updates = chosen["epochs"].value * log.num_users * 8 / chosen["batch_size"].value
    assert 5_000 <= updates <= 20_000 or chosen["epochs"].value == 200
    held_out = choose(SASRec.rules, LogStatistics.of(log, has_validation=True), (m := SASRec()), m.auto)
    assert (held_out["epochs"].value, held_out["validation_users"].value) == (200, 1024)
    assert chosen["validation_users"].value is None


def test_short_epochs_are_validated_together() -> None:
    values = {}
    for users in (100, 20_000):
        model = SASRec(examples="prefixes")
        statistics = LogStatistics.of(walks(users, 40, 9), has_validation=True)
        values[users] = choose(SASRec.rules, statistics, model, model.auto)["validate_every"].value
    assert values == {100: 20, 20_000: 1}  # no less than ten times in all, of 200 updates each
    model = SASRec(examples="prefixes", epochs=50)
    statistics = LogStatistics.of(walks(1_000, 40, 9), has_validation=True)
    assert choose(SASRec.rules, statistics, model, model.auto)["validate_every"].value == 5


def test_a_layer_is_chosen_anew_with_what_it_reads() -> None:
    model = SASRec(**FAST)
    assert model.fit(walks(30, 12, 9), progress=False).alpha == 0.7
    assert model.fit(walks(300, 40, 250), progress=False).layer == "attention"
    assert model.alpha is None
    with pytest.raises(ArgumentError, match=r"alpha: expected None, as layer 'auto' does not read it, got 0\.5"):
        SASRec(alpha=0.5)
    assert SASRec(heads=2, norm="pre", **FAST).fit(walks(30, 12, 9), progress=False).layer == "bsarec"


@pytest.mark.filterwarnings("ignore:layer .(hstu|fuxi_linear). knows positions alone")
@pytest.mark.parametrize("layer", sorted(LAYERS))
def test_every_layer_can_be_chosen_by_name_alone(layer: str) -> None:
    model = SASRec(**FAST, layer=layer).fit(walks(30, 12, 9), progress=False)
    assert model.recommend(histories=[[1, 2, 3]], k=2).items.shape == (1, 2)


def test_another_log_has_other_settings() -> None:
    model = SASRec(**FAST)
    first = model.fit(walks(30, 12, 9), progress=False).max_length
    second = model.fit(walks(10, 12, 37), progress=False).max_length
    assert (first, second) == (10, 40)


def test_a_file_has_the_settings_that_were_chosen(tmp_path: Path) -> None:
    model = SASRec(**FAST).fit(walks(30, 12, 9), progress=False)
    model.save(tmp_path)
    loaded = logq.load(tmp_path)
    assert loaded.settings() == model.settings()
    assert loaded.max_length == 10
    assert loaded.fit(walks(10, 12, 37), progress=False).max_length == 40


def test_a_fit_that_fails_leaves_settings_as_they_were() -> None:
    model = SASRec(**FAST, lr=1e30)
    with pytest.raises(FloatingPointError):
        model.fit(walks(30, 12, 9), progress=False)
    assert model.max_length == "auto"


def test_what_was_chosen_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    SASRec(**FAST).fit(walks(30, 12, 9), progress=False)
    assert capsys.readouterr().err == ""
    SASRec(**FAST).fit(walks(30, 12, 9))
    said = capsys.readouterr().err
    assert said.startswith("SASRec: settings chosen for this log: examples=prefixes, max_length=10, layer=bsarec")


@pytest.mark.parametrize("value", ["automatic", "", None, 1.5])
def test_auto_is_the_only_word(value: object) -> None:
    with pytest.raises((ArgumentError, ArgumentTypeError), match=r"^dropout: "):
        SASRec(dropout=value)  # pyright: ignore[reportArgumentType]


def test_auto_can_be_typed() -> None:
    option = SASRec.options()["dropout"]
    assert (option.parse("auto"), option.parse("0.25")) == ("auto", 0.25)
    assert option.default_text == "auto, by the number of events of an item"
    assert 'Default: "auto", by the number of events of an item.' in option.paragraph


def test_a_choice_is_checked_as_if_it_had_been_given() -> None:
    class Wrong(SASRec):
        rules: ClassVar[Rules] = {**SASRec.rules, "dropout": lambda log, own: AutomaticChoice(1.5, "a mistake")}

    with pytest.raises(ArgumentError, match=r"dropout: expected a finite number"):
        Wrong(**FAST).fit(walks(30, 12, 9), progress=False)


# ---------------------------------------------------------------------------------------------------- prefixes


def test_prefixes_learn_what_comes_after_each_event() -> None:
    log = walks(60, 10, 8)
    model = SASRec(dim=16, examples="prefixes", num_sampled=8, dropout=0.1, epochs=40, lr=0.01, seed=1)
    model.fit(log, progress=False)
    answers = model.recommend(histories=[[3, 4], [8, 9], [0]], k=1, exclude_seen=False).items[:, 0].tolist()
    assert answers == [5, 0, 1]


@pytest.mark.parametrize("layer", ["attention", "ligr"])
@pytest.mark.parametrize("positions", ["start", "end", "relative", "none"])
def test_the_last_output_alone_is_that_of_a_pass_over_all(layer: str, positions: str) -> None:
    torch.manual_seed(1)
    model = SASRecEncoder(50, 16, max_length=12, layer=layer, positions=positions, heads=2).double().eval()
    for block in model.blocks:
        if isinstance(block.distance_bias, torch.Tensor):
            torch.nn.init.normal_(block.distance_bias)
    history = torch.randint(50, (6, 12))
    ends = torch.tensor([3, 12, 1, 0, 7, 12])
    history[torch.arange(12) >= ends[:, None]] = -1
    all_outputs = model._padded_outputs(history, ends, None)  # pyright: ignore[reportPrivateUsage]
    expected = all_outputs[torch.arange(6), (ends - 1).clamp(min=0)] * (ends > 0)[:, None]
    torch.testing.assert_close(model.query({"history": history}), expected, rtol=0, atol=1e-12)


# --------------------------------------------------------------------------------------------- users who validate


def test_what_others_have_held_out_is_learned_from() -> None:
    split = leave_one_out(walks(100, 12, 6))
    assert split.validation is not None
    train, held_out = HeldOut(split.validation, split.train).shared_out(split.train, 30)
    assert (len(train), len(held_out.truth)) == (len(split.train) + 70, 30)
    validates = np.unique(held_out.truth.users)
    lengths = np.diff(train.offsets)
    assert set(lengths[validates].tolist()) == {4}
    assert set(np.delete(lengths, validates).tolist()) == {5}
    whole = split.history("test")
    for user in range(100):  # events stay in their order
        mine = train.items[train.offsets[user] : train.offsets[user + 1]]
        assert mine.tolist() == whole.items[whole.offsets[user] : whole.offsets[user] + len(mine)].tolist()


def test_nothing_is_learned_of_users_who_validate_where_users_are_held_out() -> None:
    split = split_by_user(walks(100, 12, 6), test=0.2, validation=0.4, asked=2)
    assert split.validation is not None
    held_out = HeldOut(split.validation, split.history("validation"))
    for users in (15, 40):  # some of them, and all
        train, part = held_out.shared_out(split.train, users)
        assert part.history is not None
        validates = np.unique(part.truth.users)
        assert len(validates) == users
        assert not np.isin(train.users, validates).any()
        assert len(train) == len(split.train) + (40 - users) * 6
        assert (np.diff(part.history.offsets)[validates] == 4).all()
    model = SASRec(**FAST, validation_users=15).fit(split, progress=False)
    assert len(model.known.items) == 40 * 6 + 25 * 6
    assert "ndcg@10" in model.training_log[0]


@pytest.mark.parametrize("refit", [False, True])
def test_a_part_of_a_log_is_learned_from_whatever_holds_it_out(refit: bool) -> None:
    log = walks(60, 12, 6)
    times = np.tile(np.arange(6), 60)
    timed = Interactions.from_arrays(log.user_ids.keys_of(log.users), log.item_ids.keys_of(log.items), times)
    split = split_by_time(timed, test=5, validation=4)
    model = SASRec(**FAST, validation_users=20, refit=refit).fit(split, progress=False)
    assert len(model.known.items) == 60 * 5 - (0 if refit else 20)
    assert model.evaluate(split, progress=False).users == 60


@pytest.mark.parametrize("has_times", [False, True])
def test_a_model_that_goes_on_learns_what_most_users_have_held_out(has_times: bool) -> None:
    """Half of the users have two more events: of these 20 users validate; known events are neither new nor validate."""
    log = walks(80, 12, 8)
    place = np.tile(np.arange(8), 80)
    rows = (place < 6) | (log.users < 40)
    users, items = log.user_ids.keys_of(log.users), log.item_ids.keys_of(log.items)
    times = place if has_times else None

    def part(mask: np.ndarray) -> Interactions:
        return Interactions.from_arrays(users[mask], items[mask], None if times is None else times[mask])

    model = SASRec(**FAST, validation_users=20).fit(leave_one_out(part(place < 6)), progress=False)
    assert len(model.known.items) == 80 * 5 - 20
    model.fit(leave_one_out(part(rows)), warm=True, progress=False)
    assert model.known.user_ids.keys.tolist() == np.unique(users).tolist()
    lengths = np.diff(model.known.offsets)
    assert lengths.max() == 7
    # Users without new events know as many as before, and nobody has an event twice.
    assert sorted(set(lengths[40:].tolist())) in ([5], [4, 5])
    assert (lengths[:40] == 6).sum() == 20 - int((lengths[40:] == 4).sum())
    of = [
        model.known.items[begin:end] for begin, end in zip(model.known.offsets, model.known.offsets[1:], strict=False)
    ]
    assert all(len(np.unique(one)) == len(one) for one in of)


def test_users_who_validate_are_the_same_for_every_seed() -> None:
    split = leave_one_out(walks(100, 12, 6))
    models = [SASRec(dim=8, epochs=1, seed=seed, validation_users=20).fit(split, progress=False) for seed in (1, 2)]
    assert models[0].known.items.tolist() == models[1].known.items.tolist()
    assert len(models[0].known.items) == len(split.train) + 80
    assert "ndcg@10" in models[0].training_log[0]


def test_a_test_is_measured_without_complaint(recwarn: pytest.WarningsRecorder) -> None:
    split = leave_one_out(walks(100, 12, 6))
    model = SASRec(dim=8, epochs=1, seed=1, validation_users=20).fit(split, progress=False)
    assert "NDCG@10" in model.evaluate(split, progress=False).values
    assert not recwarn.list


def test_more_users_than_there_are_is_all_of_them() -> None:
    split = leave_one_out(walks(20, 12, 6))
    assert split.validation is not None
    train, held_out = HeldOut(split.validation, split.train).shared_out(split.train, 1000)
    assert train is split.train
    assert held_out.truth is split.validation
