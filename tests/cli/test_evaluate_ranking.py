import io
import json
import sys

import pytest

from logq.cli import main
from logq.logs import Interactions, Split
from logq.recommenders import Popularity, Recommender


class Terminal(io.StringIO):
    def isatty(self):
        return True


def values(out, name="SASRec"):
    cells = [line.split("\t") for line in out.splitlines()]
    return {metric: float(value) for model, metric, value, *_ in cells if model == name}


def test_the_part_that_was_held_out_is_measured(logq, model):
    code, out, err = logq("evaluate", "ranking", model, "--k", 1, "--k", 5)
    assert (code, err) == (0, "")
    log = Interactions.load(model / "log")
    split = Split.load(model / "log", log)
    known = Recommender.load(model)
    wanted = known.evaluate(split, ks=(1, 5)).values
    assert values(out) == pytest.approx(dict(wanted), abs=1e-6)
    baseline = Popularity().fit(split.train).evaluate(split, ks=(1, 5)).values
    assert values(out, "Popularity") == pytest.approx(dict(baseline), abs=1e-6)
    assert wanted["HR@1"] > 0.9 > baseline["HR@1"], "the ring is learned"


def test_intervals_and_json(logq, model, tmp_path):
    _, out, _ = logq("evaluate", "ranking", model, "--k", 5, "--json", tmp_path / "scores.json", "--no-baseline")
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert set(scores) == {"model", "test", "SASRec"}
    low, high = scores["SASRec"]["intervals"]["NDCG@5"]
    line = next(line for line in out.splitlines() if "NDCG@5" in line)
    assert line.split("\t")[3:] == [f"{low:.6f}", f"{high:.6f}"]
    assert "Popularity" not in out


def test_the_log_of_the_training_is_its_test_part(logq, model, ratings):
    assert logq("evaluate", "ranking", model, ratings) == logq("evaluate", "ranking", model)


def test_what_users_did_later(logq, model, tmp_path):
    """Users go on in the ring: known are all events of the log, also those that training held out."""
    log = Interactions.load(model / "log")
    rows = ["user_id,item_id,rating,ts"]
    for user in range(60):
        items = log.item_ids.keys_of(log.histories(log.user_ids.codes([f"u{user}"]))[0]).tolist()
        rows.append(f"u{user},i{(int(items[-1][1:]) + 1) % 20},5,{10**6 + user}")
    later = tmp_path / "later.csv"
    later.write_text("\n".join([*rows, "stranger,i1,5,1"]) + "\n")
    code, out, err = logq("evaluate", "ranking", model, later, "--k", 1)
    assert code == 0
    assert values(out)["HR@1"] > 0.8
    assert "left out: 1 (unknown user)" in err


def test_leave_one_out_of_other_users(logq, model, tmp_path):
    path = tmp_path / "others.csv"
    path.write_text("user_id,item_id,rating,ts\n" + "".join(f"new,i{3 + step},5,{step}\n" for step in range(5)))
    code, out, _ = logq("evaluate", "ranking", model, path, "--leave-one-out", "--k", 1, "--no-baseline")
    assert code == 0
    assert values(out)["HR@1"] == 1


def test_seen_items_stay_in_if_asked(logq, model):
    kept = logq("evaluate", "ranking", model, "--keep-seen", "--k", 3)[1]
    assert values(kept) != values(logq("evaluate", "ranking", model, "--k", 3)[1])


def test_a_terminal_gets_a_table(model, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["evaluate", "ranking", str(model), "--k", "5"]) == 0
    shown = sys.stdout.getvalue()
    assert "\t" not in shown
    assert "60 users; to be found: the last event of each user; all 20 items ranked" in shown
    assert "Popularity, the same for everybody: " in shown
    assert "Recall" not in shown, "with one item to find it is HR"
    assert "popularity bias" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere: there is no such folder"),
        (
            ["{vectors}"],
            "there is no recommender in this folder; `logq train sasrec` makes one (word vectors are there",
        ),
        (["{model}", "nowhere.csv"], "nowhere.csv: there is no such file"),
        (["{model}", "--k", "21"], "--k: expected at most 20, the number of items, got 21"),
        (["{model}", "--leave-one-out"], "--leave-one-out: expected a LOG with it"),
        (["{model}", "--device", "abacus"], "abacus"),
        (["{model}", "{ratings}x", "--user", "uid"], "there is no such file"),
    ],
)
def test_bad_input(logq, model, vectors, ratings, words, message):
    words = [word.format(model=model, vectors=vectors, ratings=ratings) for word in words]
    code, out, err = logq("evaluate", "ranking", *words)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_nothing_was_held_out(logq, ratings, tmp_path):
    options = ["--validation", "none", "--epochs", 1, "--dim", 4, "-q"]
    assert logq("train", "item2vec", ratings, "-o", tmp_path / "m", *options)[0] == 0
    for words in ([], [ratings]):
        code, _, err = logq("evaluate", "ranking", tmp_path / "m", *words)
        assert code == 2
        assert "nothing was held out in training (--validation none)" in err


@pytest.mark.parametrize(
    "name", ["model.safetensors", "training.json", "titles.json", "log/split.json", "log/items.npy"]
)
def test_damaged_files(logq, model, tmp_path, name):
    import shutil

    folder = tmp_path / "m"
    shutil.copytree(model, folder)
    file = folder / name
    file.write_bytes(file.read_bytes()[:20])
    code, out, err = logq("evaluate", "ranking", folder)
    assert (code, out) == (2, "")
    assert name.split("/")[0] in err
    assert err.count("\n") == 1
