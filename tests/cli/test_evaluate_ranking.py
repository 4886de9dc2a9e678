import io
import json
import re
import shutil
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
            "expected a recommender in this folder, found word vectors; try `logq evaluate words ",
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


def test_segments_and_diversity_are_lines_and_rows(logq, model, ratings, monkeypatch, tmp_path):
    words = [model, "--segments", "--diversity", "vectors", "--no-baseline", "--k", 5, "--json", tmp_path / "out.json"]
    code, out, _ = logq("evaluate", "ranking", *words)
    assert code == 0
    known = Recommender.load(model)
    split = Split.load(model / "log", Interactions.load(model / "log"))
    wanted = known.evaluate(split, ks=[5], segments=True, item_vectors=known.item_vectors)
    found = values(out)
    assert found["diversity@5"] == pytest.approx(wanted["diversity@5"], abs=1e-6)
    for name, part in wanted.segments.items():
        assert {metric: found[f"{metric}, {name}"] for metric in part.values} == pytest.approx(
            dict(part.values), abs=1e-6, nan_ok=True
        )
    assert set(json.loads((tmp_path / "out.json").read_text())["SASRec"]["segments"]) == set(wanted.segments)
    found = values(logq("evaluate", "ranking", model, "--diversity", "features", "--no-baseline", "--k", 5)[1])
    wanted = known.evaluate(split, ks=[5], item_vectors=known.known.item_features)
    assert found["diversity@5"] == pytest.approx(wanted["diversity@5"], abs=1e-6)
    logq("train", "item2vec", ratings, "-o", tmp_path / "m", "--epochs", 1, "--dim", 4, "-q")
    code, _, err = logq("evaluate", "ranking", tmp_path / "m", "--diversity", "features")
    assert (code, "--diversity features: expected a model trained with --item-features" in err) == (2, True)
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["evaluate", "ranking", str(model), "--k", "5", "--segments", "--no-baseline", "-q"]) == 0
    shown = sys.stdout.getvalue()
    assert "NDCG, head items" in shown
    assert "that have 80 % of the events" in " ".join(shown.split())


def test_a_log_is_cut_at_a_date_or_before_the_last_few_events(logq, model, tmp_path):
    path = tmp_path / "others.csv"
    rows = [f"new{user},i{(user + step) % 20},5,2024-01-{1 + step:02}" for user in range(9) for step in range(8)]
    path.write_text("\n".join(["user_id,item_id,rating,ts", *rows]) + "\n")
    few = ["--no-baseline", "--k", 1, "-q"]
    code, out, _ = logq("evaluate", "ranking", model, path, "--leave-last", 3, *few)
    assert (code, values(out)["Recall@1"]) == (0, pytest.approx(1 / 3, abs=0.1))
    code, out, _ = logq("evaluate", "ranking", model, path, "--since", "2024-01-07", *few)
    assert (code, values(out)["Recall@1"]) == (0, pytest.approx(1 / 2, abs=0.1))
    code, out, _ = logq("evaluate", "ranking", model, path, "--since", 0.8, *few)
    assert (code, values(out)["HR@1"]) == (0, pytest.approx(1, abs=0.2))
    for words, said in (
        (["--since", "soon"], "--since: expected a date such as '2024-01-31'"),
        (["--since", "2025-01-01"], "--since: expected a time after 2024-01-01"),
        (["--since", "2024-01-07", "--leave-last", 2], "--since: expected none with --leave-last"),
    ):
        code, _, err = logq("evaluate", "ranking", model, path, *words)
        assert (code, said in err) == (2, True), err
    code, _, err = logq("evaluate", "ranking", model, "--since", "2024-01-07")
    assert (code, "--since: expected a LOG with it" in err) == (2, True)


# ----------------------------------------------------------------------------------------------------- logs that grew


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """A folder with a model of half a log, and files: what came later, both together, and both in another order."""
    folder = tmp_path_factory.mktemp("grown")
    header = "user_id,item_id,rating,ts\n"
    old = [f"u{user},i{(user + step) % 20},5,{100 * step + user}\n" for user in range(40) for step in range(6)]
    new = [f"u{user},i{(user + 6) % 20},5,{10_000 + user}\n" for user in range(40)]
    for name, rows in (("small", old), ("later", new), ("grown", old + new), ("turned", (old + new)[::-1])):
        (folder / f"{name}.csv").write_text(header + "".join(rows))
    options = ["--dim", "8", "--epochs", "2", "--seed", "1", "-q"]
    assert main(["train", "youtube-dnn", str(folder / "small.csv"), "-o", str(folder / "model"), *options]) == 0
    return folder


def test_a_log_that_grew_gives_the_numbers_of_what_is_new(logq, grown):
    code, later, err = logq("evaluate", "ranking", grown / "model", grown / "later.csv", "--k", 3)
    assert code == 0
    assert "known from the training" not in err
    for name in ("grown.csv", "turned.csv"):
        code, out, err = logq("evaluate", "ranking", grown / "model", grown / name, "--k", 3)
        assert (code, out) == (0, later)
        assert "Note: 240 of 280 events" in err
        assert all(option in err for option in ("--keep-seen", "--validation last", "--leave-one-out"))


def test_events_that_are_known_are_not_found_again_where_seen_items_are_ranked(logq, grown):
    words = ["--k", 3, "--keep-seen"]
    code, later, _ = logq("evaluate", "ranking", grown / "model", grown / "later.csv", *words)
    assert code == 0
    assert logq("evaluate", "ranking", grown / "model", grown / "grown.csv", *words)[1] == later


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            "7,i1,5,1\n8,i2,5,2\n",
            "users: expected strings, as the ids of this log are, got 7; the file is {path}; --leave-one-out",
        ),
        ("u1,1,5,1\nu2,2,5,2\n", "items: expected strings, as the ids of this log are, got 1; the file is {path}\n"),
        ("u1,x,5,1\nu2,y,5,2\n", "all dropped: 2 unknown item; the file is {path}\n"),
    ],
)
def test_a_log_of_other_ids_is_named(logq, grown, tmp_path, rows, message):
    path = tmp_path / "others.csv"
    path.write_text(f"user_id,item_id,rating,ts\n{rows}")
    code, out, err = logq("evaluate", "ranking", grown / "model", path)
    assert (code, out) == (2, "")
    assert message.replace("{path}", str(path)) in err


def test_the_last_line_and_json_say_what_did_not_count(grown, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "100")
    words = ["evaluate", "ranking", str(grown / "model"), str(grown / "grown.csv"), "--k", "3", "--no-baseline"]
    assert main([*words, "--json", str(tmp_path / "scores.json")]) == 0
    assert "240 events that the model knew already do not count" in sys.stdout.getvalue().splitlines()[-1]
    assert json.loads((tmp_path / "scores.json").read_text())["YoutubeDNN"]["known_events"] == 240


def test_a_log_of_training_that_lies_elsewhere_is_known_by_its_events(logq, grown, tmp_path):
    copy = tmp_path / "copy.csv"
    copy.write_bytes((grown / "small.csv").read_bytes())
    code, out, err = logq("evaluate", "ranking", grown / "model", copy, "--k", 3)
    assert (code, out) == (0, logq("evaluate", "ranking", grown / "model", "--k", 3)[1])
    assert "has nothing that training did not read: measured is what training held out of it" in err


def test_the_file_of_training_that_grew_is_measured_on_what_is_new(logq, grown, tmp_path):
    import shutil

    later = logq("evaluate", "ranking", grown / "model", grown / "later.csv", "--k", 3)[1]
    before = (grown / "small.csv").read_bytes()
    try:
        shutil.copy(grown / "grown.csv", grown / "small.csv")
        assert logq("evaluate", "ranking", grown / "model", grown / "small.csv", "--k", 3)[1] == later
    finally:
        (grown / "small.csv").write_bytes(before)


def test_users_whom_the_model_does_not_know(logq, grown, tmp_path):
    path = tmp_path / "others.csv"
    path.write_text("user_id,item_id,rating,ts\nx,i1,5,1\nx,i2,5,2\ny,i3,5,1\n")
    code, out, err = logq("evaluate", "ranking", grown / "model", path)
    assert (code, out) == (2, "")
    assert "--leave-one-out measures on users that the model does not know" in err


def test_items_that_users_had_before_are_said_not_to_count(logq, grown, tmp_path):
    path = tmp_path / "again.csv"
    rows = [f"u{user},i{(user + user % 2 * 6) % 20},5,{20_000 + user}\n" for user in range(40)]
    path.write_text("user_id,item_id,rating,ts\n" + "".join(rows))
    _, out, err = logq("evaluate", "ranking", grown / "model", path, "--k", 3, "--json", tmp_path / "scores.json")
    assert "50.0 % of the 40 events to be found are of items that their users had before" in err
    assert "--keep-seen ranks them too" in err
    assert json.loads((tmp_path / "scores.json").read_text())["YoutubeDNN"]["already_had"] == 20
    _, kept, err = logq("evaluate", "ranking", grown / "model", path, "--k", 3, "--keep-seen")
    assert "had before" not in err
    assert kept != out
    path.write_text("user_id,item_id,rating,ts\n" + "".join(rows[::2]))
    code, out, err = logq("evaluate", "ranking", grown / "model", path)
    assert (code, out) == (2, "")
    assert "; --keep-seen ranks what users had before too" in err


def test_a_test_that_training_saw_is_said(logq, grown, tmp_path):
    options = ["--dim", 8, "--epochs", 1, "--seed", 1, "-q", "--validation", "none"]
    assert logq("train", "youtube-dnn", grown / "small.csv", "-o", tmp_path / "m", *options)[0] == 0
    code, _, err = logq("evaluate", "ranking", tmp_path / "m", grown / "small.csv", "--leave-one-out", "--k", 3)
    assert code == 0
    assert "40 of 40 events of the test are among those that the model was fitted with" in err


def test_expected_ranks_of_equal_scores(logq, grown):
    one = logq("evaluate", "ranking", grown / "model", "--k", 3, "--no-baseline")[1]
    code, other, _ = logq("evaluate", "ranking", grown / "model", "--k", 3, "--no-baseline", "--ties", "expected")
    assert code == 0
    assert values(other, "YoutubeDNN") == pytest.approx(values(one, "YoutubeDNN"), abs=1e-6)
    assert "--ties" in logq("evaluate", "ranking", grown / "model", "--ties", "lower")[2]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_three_cut_offs_are_shown_whole(model, monkeypatch, width):
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["evaluate", "ranking", str(model), "--k", "5", "--k", "10", "--k", "20", "--no-baseline", "-q"]) == 0
    shown = re.sub(r"\x1b\[[\d;]*m", "", sys.stdout.getvalue())
    table = shown.split("\n60 users")[0]
    assert max(map(len, table.splitlines())) <= width
    assert "\N{HORIZONTAL ELLIPSIS}" not in table
    assert len(re.findall(r"\d\.\d{4} to \d\.\d{4}", table)) == 3 * 6
    assert table.count("NDCG ") == {60: 3, 80: 2, 120: 1}[width]


def test_a_log_of_another_model_is_refused(logq, model, tmp_path):
    shutil.copytree(model, tmp_path / "m")
    Interactions.from_arrays(["a", "a", "b"], ["x", "y", "x"]).save(tmp_path / "m" / "log")
    code, _, err = logq("evaluate", "ranking", tmp_path / "m")
    line = "this log belongs to another model than the one beside it"
    assert (code, err) == (2, f"Error: {tmp_path / 'm' / 'log'}: {line}\n")
