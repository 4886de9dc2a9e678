import io
import json
import sys

import polars
import pytest

from logq.cli import main
from logq.logs import Interactions
from logq.recommenders import Recommender


class Terminal(io.StringIO):
    def isatty(self):
        return True


def lines(out):
    return [line.split("\t") for line in out.splitlines()]


def test_users_are_known_with_what_training_held_out(logq, model):
    code, out, err = logq("recommend", model, "--user", "u0", "-k", 1)
    assert (code, err) == (0, "")
    log = Interactions.load(model / "log")
    last = log.item_ids.keys_of(log.histories(log.user_ids.codes(["u0"]))[0]).tolist()[-1]
    following = f"i{(int(last[1:]) + 1) % 20}"
    assert [line[:2] for line in lines(out)] == [["u0", following]]
    assert lines(out)[0][3] == f"Item number {following[1:]}"


def test_several_users_are_several_questions(logq, model):
    _, out, _ = logq("recommend", model, "--user", "u0", "-u", "u7", "-k", 3)
    assert [line[0] for line in lines(out)] == ["u0"] * 3 + ["u7"] * 3


def test_a_new_user(logq, model):
    _, out, _ = logq("recommend", model, "--history", "i3", "--history", "i4", "-k", 1)
    assert lines(out)[0][:2] == ["new user", "i5"]
    wanted = Recommender.load(model).recommend(histories=["i3", "i4"], k=1)
    assert float(lines(out)[0][2]) == pytest.approx(float(wanted.scores[0]), abs=1e-5)


def test_what_was_seen_comes_only_if_asked_for(logq, model):
    words = ["recommend", model, "--history", "i3", "--history", "i4", "-k", 20]
    assert {"i3", "i4"}.isdisjoint(line[1] for line in lines(logq(*words)[1]))
    assert {"i3", "i4"} <= {line[1] for line in lines(logq(*words, "--keep-seen")[1])}


def test_similar_items(logq, model):
    code, out, _ = logq("similar", model, "i4", "i9", "-k", 2)
    assert code == 0
    near = Recommender.load(model).similar_items("i4", k=2)
    assert [line[1] for line in lines(out)[:2]] == near.items.tolist()
    assert [line[0] for line in lines(out)] == ["i4", "i4", "i9", "i9"]
    assert lines(out)[0][3].startswith("Item number ")


@pytest.mark.parametrize("command", ["recommend", "similar"])
def test_a_terminal_gets_tables_with_titles(model, monkeypatch, command):
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "90")
    words = ["--user", "u3", "--user", "u4"] if command == "recommend" else ["i3", "i4"]
    assert main([command, str(model), *words, "-k", "3"]) == 0
    shown = sys.stdout.getvalue()
    assert "\t" not in shown
    assert "Item number" in shown
    assert ("cosine" in shown) == (command == "similar")


def test_nothing_left_to_recommend(model, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    everything = [word for item in range(20) for word in ("--history", f"i{item}")]
    assert main(["recommend", str(model), *everything]) == 0
    assert "nothing is left to recommend (--keep-seen includes seen items)" in sys.stdout.getvalue()


def test_unknown_users_and_items_are_met_with_the_closest(logq, model):
    code, out, err = logq("recommend", model, "--user", "u399", "--user", "u3", "-k", 1)
    assert code == 2
    assert [line[0] for line in lines(out)] == ["u3"], "an unknown user does not hide the answers for others"
    assert err.startswith("Error: 'u399' is not among the 60 users of the log; like it are u39")
    code, out, err = logq("similar", model, "item5")
    assert (code, out) == (2, "")
    assert "'item5' is not among the 20 items of the log" in err
    code, out, err = logq("recommend", model, "--history", "i1", "--history", "zzz")
    assert (code, out) == (2, "")
    assert "'zzz' is not among the 20 items of the log; some of them are i" in err


def test_ids_that_are_numbers(logq, tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item\n" + "".join(f"{user},{10 + item}\n" for user in range(5) for item in range(6)))
    options = ["--epochs", 1, "--dim", 4, "-q", "--seed", 1]
    assert logq("train", "item2vec", path, "-o", tmp_path / "m", *options)[0] == 0
    assert logq("recommend", tmp_path / "m", "--user", "3", "-k", 1, "--keep-seen")[0] == 0
    code, _, err = logq("recommend", tmp_path / "m", "--user", "three")
    assert code == 2
    assert "'three' is not among the 5 users of the log; some of them are 0, 1, 2, 3, 4" in err


@pytest.mark.parametrize("words", [[], ["--user", "u1", "--history", "i1"]])
def test_a_user_or_a_history(logq, model, words):
    code, _, err = logq("recommend", model, *words)
    assert code == 2
    assert "give either users of the log by --user, or the history of a new one by --history" in err


def test_a_new_item_is_known_by_its_features(logq, ratings, tmp_path):
    features = ["--item-features", ratings.parent / "items.csv"]
    options = ["--dim", 8, "--epochs", 1, "--seed", 1, "-q"]
    assert logq("train", "two-tower", ratings, "-o", tmp_path / "m", *features, *options)[0] == 0
    code, out, _ = logq("similar", tmp_path / "m", "--feature", "kind=even", "-k", 3)
    assert code == 0
    wanted = Recommender.load(tmp_path / "m").similar_items(item_features={"kind": "even"}, k=3)
    assert [line[:2] for line in lines(out)] == [["new item", item] for item in wanted.items]
    assert logq("similar", tmp_path / "m", "--feature", "kind=odd", "-k", 3)[1] != out
    code, _, err = logq("similar", tmp_path / "m", "--feature", "kind")
    assert (code, err) == (2, "Error: --feature: expected NAME=VALUE, got 'kind'\n")
    code, _, err = logq("similar", tmp_path / "m", "--feature", "sort=even")
    assert (code, err) == (2, "Error: --feature: expected kind, got 'sort'\n")


def test_features_that_a_model_did_not_learn_from(logq, model):
    code, _, err = logq("similar", model, "--feature", "kind=even")
    assert code == 2
    reason = "Error: --feature: expected none, as SASRec learns nothing from side information of items"
    expected = f'{reason}; content="sum" or "network" learns from it\n'
    assert err == expected
    assert logq("similar", model, "--feature", "color=red")[2] == expected, "a better name would not help"
    code, _, err = logq("similar", model)
    assert code == 2
    assert "give either items of the log, or the features of a new one by --feature" in err


def test_a_pipe_is_told_when_nothing_is_left(logq, tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("user,item\n" + "".join(f"u{user},i{item}\n" for user in range(3) for item in range(4)))
    assert logq("train", "sasrec", log, "-o", tmp_path / "m", "--dim", 4, "--epochs", 1, "-q")[0] == 0
    code, out, err = logq("recommend", tmp_path / "m", "--user", "u1")
    assert (code, out) == (0, "")
    assert err == "Note: u1: nothing is left to recommend (--keep-seen includes seen items)\n"


def test_unknown_users_are_ignored_or_answered_by_what_is_popular(logq, model, tmp_path):
    words = ["recommend", model, "--user", "u399", "--user", "u3", "-k", 2, "--json", tmp_path / "answers.json"]
    code, out, err = logq(*words, "--unknown", "ignore")
    assert code == 0
    assert [line[0] for line in lines(out)] == ["u3", "u3"]
    assert err == "Note: u399: unknown user; nothing recommended\n"
    answers = json.loads((tmp_path / "answers.json").read_text())["answers"]
    assert [(one["user"], one["status"]) for one in answers] == [
        ("u399", "unknown user; nothing recommended"),
        ("u3", ""),
    ]
    assert [one["item"] for one in answers[1]["answers"]] == [line[1] for line in lines(out)]
    code, out, err = logq(*words, "--unknown", "popular")
    assert code == 0
    assert [line[0] for line in lines(out)] == ["u399", "u399", "u3", "u3"]
    assert "u399: unknown user; popular items instead" in err
    code, out, err = logq(*words)
    assert code == 2
    content = json.loads((tmp_path / "answers.json").read_text())
    assert [one["user"] for one in content["answers"]] == ["u3"]
    assert content["unknown"][0].startswith("'u399' is not among")


def test_new_items_in_a_history_are_left_out_if_asked(logq, model):
    words = ["recommend", model, "--history", "i3", "--history", "zzz", "--history", "i4", "-k", 1]
    assert logq(*words)[0] == 2
    code, out, err = logq(*words, "--unknown", "ignore")
    assert (code, lines(out)[0][:2]) == (0, ["new user", "i5"])
    assert "new user: 1 unknown item left out" in err


def test_a_line_of_a_pipe_is_one_answer_whatever_an_id_holds(logq, tmp_path):
    log = tmp_path / "log.csv"
    ids = ["a\tb", "c\nd", "e  f", "g"]
    log.write_text("user,item,time\n" + "".join(f'"u\n{n % 5}","{ids[n % 3 + n % 2]}",{n}\n' for n in range(40)))
    assert logq("train", "item-knn", log, "-o", tmp_path / "m", "-q")[0] == 0
    _, out, _ = logq("recommend", tmp_path / "m", "--user", "u\n1", "--keep-seen")
    assert {line[0] for line in lines(out)} == {"u 1"}
    assert {line[1] for line in lines(out)} == {"a b", "c d", "e  f", "g"}
    assert {len(line) for line in lines(out)} == {3}
    _, out, _ = logq("score", tmp_path / "m", "--user", "u\n1", "--item", "c\nd")
    assert lines(out)[0][:2] == ["u 1", "c d"]


@pytest.mark.parametrize("name", ["two-tower", "eges"])
def test_a_value_that_no_item_has(logq, ratings, tmp_path, name):
    features = ["--item-features", ratings.parent / "items.csv"]
    options = ["--dim", 4, "--epochs", 1, "--seed", 1, "-q"]
    assert logq("train", name, ratings, "-o", tmp_path / "m", *features, *options)[0] == 0
    code, out, err = logq("similar", tmp_path / "m", "--feature", "kind=zzz")
    assert (code, out) == (2, "")
    assert err == "Error: --feature: no item has 'zzz' as kind; some values are even, odd\n"
    assert "like it are even" in logq("similar", tmp_path / "m", "--feature", "kind=evn")[2]


def test_an_unknown_context_is_said(logq, tmp_path):
    log = tmp_path / "log.csv"
    rows = [
        f"u{user},i{(user + step) % 6},{step},{'tv' if step % 2 else 'phone'}" for user in range(8) for step in range(5)
    ]
    log.write_text("\n".join(["user,item,time,device", *rows]) + "\n")
    options = ["--dim", 4, "--epochs", 1, "--seed", 1, "-q", "--context", "device"]
    assert logq("train", "youtube-dnn", log, "-o", tmp_path / "m", *options)[0] == 0
    words = ["recommend", tmp_path / "m", "--user", "u1", "-k", 1, "--context"]
    assert logq(*words, "device=tv")[2] == ""
    assert logq(*words, "device=fridge")[2] == "Note: u1: 'fridge' is unknown as 'device'\n"


def test_similar_items_as_json(logq, model, tmp_path):
    _, out, _ = logq("similar", model, "i4", "-k", 2, "--json", tmp_path / "near.json")
    (one,) = json.loads((tmp_path / "near.json").read_text())["answers"]
    assert (one["item"], one["status"]) == ("i4", "")
    assert [near["item"] for near in one["answers"]] == [line[1] for line in lines(out)]
    assert one["answers"][0]["title"].startswith("Item number")


def test_switches_numbers_and_dates_describe_a_new_item(logq, ratings, tmp_path):
    rows = [f"i{item},{bool(item % 2)},{item + 0.5},2024-01-{item + 1:02d}\n" for item in range(20)]
    (tmp_path / "items.csv").write_text("item,new,price,since\n" + "".join(rows))
    train = ["train", "two-tower", ratings, "-o", tmp_path / "m", "--item-features", tmp_path / "items.csv"]
    assert logq(*train, "--dim", 4, "--epochs", 1, "-q")[0] == 0
    for feature in ("new=True", "new=true", "price=3.5", "since=2024-01-05"):
        code, out, _ = logq("similar", tmp_path / "m", "--feature", feature, "-k", 2)
        assert (code, len(out.splitlines())) == (0, 2)
    for feature in ("price=cheap", "since=soon"):
        assert "expected a number or a date" in logq("similar", tmp_path / "m", "--feature", feature)[2]


def test_everybody_goes_to_a_file(logq, model, tmp_path):
    path = tmp_path / "all.parquet"
    options = ["-k", 4, "--exclude", "i5", "--diversity", 0.2]
    code, out, err = logq("recommend", model, "--all", *options, "-o", path)
    assert (code, err) == (0, "")
    assert out == f"240 recommendations for 60 users are in {path}.\n"
    rows = polars.read_parquet(path)
    assert rows.columns == ["user", "rank", "item", "score"]
    for user in ("u0", "u31"):
        one = lines(logq("recommend", model, "--user", user, *options)[1])
        mine = rows.filter(polars.col("user") == user)
        assert mine["item"].to_list() == [line[1] for line in one]
        assert mine["score"].to_list() == pytest.approx([float(line[2]) for line in one], abs=1e-5)


def test_none_but_allowed_items_are_recommended(logq, model, tmp_path):
    options = ["--allow", "i5", "--allow", "i8", "--allow", "i1"]
    loaded = Recommender.load(model)
    found = [line[1] for line in lines(logq("recommend", model, "--history", "i3", *options)[1])]
    assert found == loaded.recommend(histories=["i3"], k=3, allow=["i5", "i8", "i1"]).items.tolist()
    assert sorted(found) == ["i1", "i5", "i8"]
    assert logq("recommend", model, "--all", *options, "--keep-seen", "-o", tmp_path / "all.parquet")[0] == 0
    assert set(polars.read_parquet(tmp_path / "all.parquet")["item"]) == {"i1", "i5", "i8"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--user", "u1", "--allow", "zzz"], "'zzz' is not among the 20 items of the log"),
        (["--all"], "--all and --output FILE (-o) belong together"),
        (["--user", "u1", "-o", "x.parquet"], "--all and --output FILE (-o) belong together"),
        (["--all", "--user", "u1", "-o", "x.parquet"], "give either users of the log by --user, or the history"),
        (["--all", "-o", "x.csv"], "--output: expected the name of a Parquet file, such as all.parquet, got 'x.csv'"),
        (["--all", "-o", "x.parquet", "--explain"], "--explain: expected none beside --all"),
        (["--user", "u1", "--diversity", "1.5"], "--diversity"),
        (["--user", "u1", "--exclude", "zzz"], "'zzz' is not among the 20 items of the log"),
    ],
)
def test_options_that_do_not_go_together(logq, model, words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = logq("recommend", model, *words)
    assert (code, said in err) == (2, True), err
    assert not [*tmp_path.iterdir()]


def test_a_model_without_its_log_has_nobody_to_recommend_to(logq, ratings, tmp_path):
    options = ["--dim", 4, "--epochs", 1, "--seed", 1, "-q", "--no-histories"]
    assert logq("train", "item2vec", ratings, "-o", tmp_path / "m", *options)[0] == 0
    code, _, err = logq("recommend", tmp_path / "m", "--all", "-o", tmp_path / "all.parquet")
    assert code == 2
    assert "what users did, as the model was saved without its users" in err
    assert "(--no-users)" in err


def test_diversity_and_what_is_left_out(logq, model):
    loaded = Recommender.load(model)
    words = ["recommend", model, "--history", "i3", "--history", "i4", "-k", 4]
    found = [line[1] for line in lines(logq(*words, "--diversity", 0.6, "--exclude", "i5", "--exclude", "i8")[1])]
    wanted = loaded.recommend(histories=["i3", "i4"], k=4, diversity=0.6, exclude=["i5", "i8"]).items.tolist()
    assert found == wanted
    assert found != [line[1] for line in lines(logq(*words, "--exclude", "i5", "--exclude", "i8")[1])]


def test_what_speaks_for_an_item(logq, model, tmp_path, monkeypatch):
    words = ["recommend", model, "--history", "i3", "--history", "i4", "-k", 2, "--explain"]
    code, out, _ = logq(*words, "--json", tmp_path / "answers.json")
    assert code == 0
    why = Recommender.load(model).recommend(histories=["i3", "i4"], k=2, explain=True).reasons
    name = {"i3": "Item number 3", "i4": "Item number 4"}
    for row, line in enumerate(lines(out)):
        pairs = list(zip(why.items[row], why.scores[row], strict=True))[:2]
        assert line[4] == ", ".join(f"{name[item]} {score:.2f}" for item, score in pairs)
    first = json.loads((tmp_path / "answers.json").read_text())["answers"][0]["answers"][0]
    assert first["because"][0] == {
        "item": why.items[0, 0],
        "cosine": pytest.approx(float(why.scores[0, 0])),
        "title": name[why.items[0, 0]],
    }
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "120")
    assert main([str(word) for word in words]) == 0
    assert "because of" in sys.stdout.getvalue()


def test_similar_users(logq, model):
    code, out, _ = logq("similar", model, "--user", "u0", "--user", "u7", "-k", 2)
    assert code == 0
    near = Recommender.load(model).similar_users(["u0", "u7"], k=2)
    assert [line[:2] for line in lines(out)] == [
        [user, other] for user, others in zip(["u0", "u7"], near.items.tolist(), strict=True) for other in others
    ]
    code, _, err = logq("similar", model, "--user", "u99")
    assert (code, "'u99' is not among the 60 users of the log" in err) == (2, True)
    code, _, err = logq("similar", model, "i1", "--user", "u0")
    assert (code, "give either items of the log" in err) == (2, True)
    code, _, err = logq("similar", model, "--user", "u0", "--index", model)
    assert (code, "--index: expected none beside --user" in err) == (2, True)
