"""Scores of given items: for users, for a history, and of pairs in a file."""

import io
import json
import sys

import numpy as np
import polars
import pytest

from logq.cli import main
from logq.cli.commands import score as command
from logq.logs import Interactions
from logq.recommenders import Recommender


def lines(out):
    return [line.split("\t") for line in out.splitlines()]


def wanted(model, user, items):
    """From all events of a user, those of validation and test too."""
    log = Interactions.load(model / "log")
    past = log.item_ids.keys_of(log.histories(log.user_ids.codes([user]))[0]).tolist()
    return Recommender.load(model).score(None, [items], histories=[past])[0]


def test_items_are_scored_for_users_as_they_are_ranked(logq, model, tmp_path):
    words = ["--user", "u0", "-u", "u7", "--item", "i9", "--item", "i2", "--json", tmp_path / "scores.json"]
    code, out, err = logq("score", model, *words)
    assert (code, err) == (0, "")
    assert [line[:2] for line in lines(out)] == [["u0", "i9"], ["u0", "i2"], ["u7", "i9"], ["u7", "i2"]]
    expected = [*wanted(model, "u0", ["i9", "i2"]), *wanted(model, "u7", ["i9", "i2"])]
    assert [float(line[2]) for line in lines(out)] == pytest.approx(expected, abs=1e-5)
    assert lines(out)[0][3] == "Item number 9"
    ranked = lines(logq("recommend", model, "--user", "u0", "-k", 20, "--keep-seen")[1])
    assert dict(line[1:3] for line in ranked)["i9"] == lines(out)[0][2]
    answers = json.loads((tmp_path / "scores.json").read_text())["answers"]
    assert [one["user"] for one in answers] == ["u0", "u7"]
    assert [one["item"] for one in answers[1]["answers"]] == ["i9", "i2"]


def test_a_new_user(logq, model):
    code, out, _ = logq("score", model, "--history", "i3", "--history", "i4", "--item", "i5", "--item", "i3")
    assert code == 0
    expected = Recommender.load(model).score(None, [["i5", "i3"]], histories=[["i3", "i4"]])[0]
    assert [line[:2] for line in lines(out)] == [["new user", "i5"], ["new user", "i3"]]
    assert [float(line[2]) for line in lines(out)] == pytest.approx(expected, abs=1e-5)


def test_a_terminal_gets_tables(model, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "90")
    assert main(["score", str(model), "--user", "u3", "--item", "i3"]) == 0
    shown = sys.stdout.getvalue()
    assert "\t" not in shown
    assert "Item number 3" in shown


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("read", ["csv", "tsv without names", "parquet"])
def test_pairs_of_a_file_are_scored_in_their_order(logq, model, tmp_path, monkeypatch, read, ending):
    monkeypatch.setattr(command, "PAIRS", 7)
    random = np.random.default_rng(1)
    users = [f"u{user}" for user in random.integers(0, 9, 40)]
    items = [f"i{item}" for item in random.integers(0, 20, 40)]
    frame = polars.DataFrame({"when": range(40), "item_id": items, "user_id": users})
    path, output = tmp_path / "pairs", tmp_path / f"scores.{ending}"
    if read == "parquet":
        path = path.with_suffix(".parquet")
        frame.write_parquet(path)
    elif read == "csv":
        frame.write_csv(path)
    else:
        frame.select("user_id", "item_id").write_csv(path, separator="\t", include_header=False)
    code, out, err = logq("score", model, "--pairs", path, "-o", output)
    assert (code, err) == (0, "")
    assert out == f"40 scores are in {output}.\n"
    found = polars.read_parquet(output) if ending == "parquet" else polars.read_csv(output)
    assert found.columns == ["user", "item", "score"]
    assert (found["user"].to_list(), found["item"].to_list()) == (users, items)
    expected = [float(wanted(model, user, [item])[0]) for user, item in zip(users, items, strict=True)]
    assert found["score"].to_list() == pytest.approx(expected, abs=1e-5)
    _, out, _ = logq("score", model, "--pairs", path)
    assert [line[:2] for line in lines(out)] == [list(pair) for pair in zip(users, items, strict=True)]
    assert [float(line[2]) for line in lines(out)] == pytest.approx(expected, abs=1e-5)


def test_columns_are_called_as_those_of_the_log(logq, tmp_path):
    log, pairs = tmp_path / "log.csv", tmp_path / "pairs.csv"
    rows = [f"{item},{user}" for user in range(6) for item in range(10, 14)]
    log.write_text("\n".join(["what,who", *rows]) + "\n")
    options = ["--user", "who", "--item", "what", "--epochs", 1, "--dim", 4, "-q", "--seed", 1]
    assert logq("train", "youtube-dnn", log, "-o", tmp_path / "m", *options)[0] == 0
    pairs.write_text("who,note,what\n3,x,11\n5,y,10\n")
    code, out, _ = logq("score", tmp_path / "m", "--pairs", pairs)
    assert (code, [line[:2] for line in lines(out)]) == (0, [["3", "11"], ["5", "10"]])
    pairs.write_text("who,note,what\n3,x,pear\n5,y,10\n")
    code, _, err = logq("score", tmp_path / "m", "--pairs", pairs)
    assert (code, "expected integers as ids, as the log has" in err) == (2, True), err


def test_users_times_items_go_to_a_file(logq, model, tmp_path):
    words = ["--user", "u0", "--user", "u7", "--item", "i9", "--item", "i2"]
    assert logq("score", model, *words, "-o", tmp_path / "scores.csv")[0] == 0
    found = polars.read_csv(tmp_path / "scores.csv")
    assert found.rows() == [
        (line[0], line[1], pytest.approx(float(line[2]), abs=1e-5)) for line in lines(logq("score", model, *words)[1])
    ]


def test_what_is_unknown(logq, model, tmp_path):
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("user,item\nu3,i4\nu399,i4\nu3,zzz\n")
    code, out, err = logq("score", model, "--pairs", pairs)
    assert (code, out) == (2, "")
    assert f"{pairs}: 'u399' is not among the 60 users of the log; like it are u39" in err
    assert "(1 such rows; see --unknown)" in err
    code, out, err = logq("score", model, "--pairs", pairs, "--unknown", "ignore")
    assert code == 0
    assert err == "Note: 2 of 3 pairs have no score, for an unknown user or item\n"
    assert [line[:3] for line in lines(out)][1:] == [["u399", "i4", ""], ["u3", "zzz", ""]]
    assert float(lines(out)[0][2]) == pytest.approx(float(wanted(model, "u3", ["i4"])[0]), abs=1e-5)
    assert logq("score", model, "--pairs", pairs, "--unknown", "popular", "-o", tmp_path / "scores.csv")[0] == 0
    count = Recommender.load(model).known.item_counts()[Recommender.load(model).known.item_ids.codes(["i4"])[0]]
    assert polars.read_csv(tmp_path / "scores.csv")["score"].to_list()[1:] == [count, None]
    words = ["score", model, "--user", "u399", "--user", "u3", "--item", "i4", "--item", "zzz"]
    code, out, err = logq(*words)
    assert (code, "'zzz' is not among the 20 items of the log" in err) == (2, True)
    code, out, err = logq(*words[:-2])
    assert (code, [line[:2] for line in lines(out)]) == (2, [["u3", "i4"]])
    assert "'u399' is not among the 60 users" in err
    code, out, err = logq(*words, "--unknown", "ignore")
    assert (code, [line[:2] for line in lines(out)]) == (0, [["u3", "i4"]])
    assert err == "Note: u399: no score for i4, zzz\nNote: u3: no score for zzz\n"
    pairs.write_text("user,item\nu3,i4\nu4,\n")
    code, _, err = logq("score", model, "--pairs", pairs)
    assert (code, "expected a user and an item in each row, row 2 has no item" in err) == (2, True), err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--item", "i1"], "give either users of the log by --user, or the history of a new one by --history, or"),
        (["--user", "u1", "--history", "i1", "--item", "i1"], "give either users of the log by --user"),
        (["--user", "u1"], "--item: expected one or more, which are scored"),
        (["--pairs", "pairs.csv", "--item", "i1"], "--item: expected none beside --pairs, which has them"),
        (["--pairs", "pairs.csv", "--json", "x.json"], "--json: expected none beside --pairs"),
        (["--history", "i1", "--item", "i1", "-o", "x.csv"], "--output: expected none beside --history"),
        (["--pairs", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_options_that_do_not_go_together(logq, model, words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = logq("score", model, *words)
    assert (code, said in err) == (2, True), err
    assert not [*tmp_path.iterdir()]
