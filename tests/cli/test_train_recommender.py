"""`logq train sasrec` and the others: options reach the estimators, and what is made can answer."""

import json
import re

import pytest

from logq import recommenders
from logq.cli.app import app
from logq.estimators import ESTIMATORS
from logq.logs import Interactions, Split, leave_one_out

COMMANDS = {entry.command: entry.class_name for entry in ESTIMATORS if entry.family == "recommender"}
QUICK = ["--dim", 8, "--epochs", 1, "--seed", 1]
WITHOUT_EPOCHS = ("ease", "session-knn", "item-knn", "popularity")


@pytest.mark.parametrize("command", COMMANDS)
def test_options_are_the_estimator_s(command):
    estimator = getattr(recommenders, COMMANDS[command])
    parameters = {parameter.name for parameter in app.members["train"].get_command(None, command).params}
    assert set(estimator.options()) <= parameters


@pytest.mark.parametrize("command", COMMANDS)
def test_defaults_are_the_estimator_s(logq, ratings, tmp_path, monkeypatch, command):
    seen = []

    def noted(self, *_, **__):
        seen.append(self.settings())
        raise KeyboardInterrupt

    monkeypatch.setattr(recommenders.Recommender, "fit", noted)
    assert logq("train", command, ratings, "-o", tmp_path / "m")[0] == 130
    assert seen == [getattr(recommenders, COMMANDS[command])().settings()]


@pytest.mark.parametrize("command", ["youtube-dnn", "mind", "sdm", "two-tower", "sasrec"])
def test_items_may_start_from_skip_gram(logq, ratings, tmp_path, command):
    assert "--pretrain" in logq("train", command, "--help")[1]
    code, _, err = logq("train", command, ratings, "-o", tmp_path, *QUICK, "--pretrain", 2)
    assert code == 0, err
    assert recommenders.Recommender.load(tmp_path).settings()["pretrain"] == 2


def test_help_of_two_towers_says_what_two_towers_do(logq):
    text = " ".join(logq("train", "two-tower", "--help")[1].split())
    assert "(default: in_batch)" in text
    assert "(default: log_uniform)" not in text
    assert "--cosine" not in text, "it would be refused"


@pytest.mark.parametrize("command", COMMANDS)
def test_each_model_is_trained_saved_and_answers(logq, ratings, tmp_path, command):
    folder = tmp_path / "my model"
    quick = [] if command in WITHOUT_EPOCHS else QUICK
    code, out, err = logq("train", command, ratings, "-o", folder, *quick)
    assert code == 0
    assert "user: took the column 'user_id'" in err
    assert "Read 360 events of 60 users with 20 items." in out
    assert "ndcg@10 " in out
    assert f"logq evaluate ranking '{folder}'" in out
    known = recommenders.Recommender.load(folder)
    assert type(known).__name__ == COMMANDS[command]
    assert len(known.recommend("u3", k=5).items) == 5
    assert bool(re.search("[0-9] numbers? each", out)) == known.has_vectors
    code, out, err = logq("evaluate", "ranking", folder, "--k", 5)
    assert code == 0, err
    assert "NDCG" in out


def test_options_reach_the_model(logq, ratings, tmp_path):
    options = "--dim 8 --blocks 1 --heads 2 --objective gbce --own-negatives --num-sampled 5 --sampler uniform "
    options += (
        "--epochs 2 --lr 0.01 --decay linear --patience 0 --keep-seen --untied --max-length 7 --clip 1 --no-log-q"
    )
    assert logq("train", "sasrec", ratings, "-o", tmp_path / "m", "-q", *options.split())[0] == 0
    wanted = {
        "dim": 8,
        "blocks": 1,
        "heads": 2,
        "objective": "gbce",
        "shared_negatives": False,
        "num_sampled": 5,
        "sampler": "uniform",
        "epochs": 2,
        "lr": 0.01,
        "decay": "linear",
        "patience": None,
        "exclude_seen": False,
        "tied": False,
        "max_length": 7,
        "clip": 1.0,
        "log_q": False,
    }
    settings = recommenders.Recommender.load(tmp_path / "m").settings()
    assert {name: settings[name] for name in wanted} == wanted


def test_the_log_and_what_was_held_out_stay_with_the_model(model, ratings):
    log = Interactions.load(model / "log")
    assert len(log) == 360
    typed = json.loads((model / "training.json").read_text())
    assert typed["log"] == str(ratings.resolve())
    assert typed["validation"] == "last"
    known = recommenders.Recommender.load(model)
    assert len(known.known.items) == len(leave_one_out(log).train)


def test_a_model_that_learned_the_ring(model):
    known = recommenders.Recommender.load(model)
    assert known.recommend(histories=["i3", "i4", "i5"], k=1).items.tolist() == ["i6"]


def test_quiet_prints_nothing_but_notes(logq, ratings, tmp_path):
    code, out, err = logq("train", "sasrec", ratings, "-o", tmp_path / "m", *QUICK, "--quiet")
    assert (code, out) == (0, "")
    assert all(line.startswith("Note: ") for line in err.splitlines())


def test_nothing_held_out(logq, ratings, tmp_path):
    code, out, _ = logq("train", "youtube-dnn", ratings, "-o", tmp_path / "m", *QUICK, "--validation", "none")
    assert code == 0
    assert "Nothing was held out" in out
    assert "logq evaluate" not in out
    assert len(recommenders.Recommender.load(tmp_path / "m").known.items) == 360
    assert not (tmp_path / "m" / "log" / "split.json").exists()


def test_held_out_by_time(logq, ratings, tmp_path):
    code, out, _ = logq("train", "item2vec", ratings, "-o", tmp_path / "m", *QUICK, "--validation", "time")
    assert code == 0
    assert "between 80 and 90 percent of the events" in out
    assert json.loads((tmp_path / "m" / "log" / "split.json").read_text())["facts"]["how"]["by"] == "time"


@pytest.mark.parametrize(
    ("how", "value", "part", "told"),
    [
        ("last", "2", "the last 2 events of each user", "--validation last --held-out 2"),
        ("time", "0.05", "the last 5.0 % of the events", "--held-out 0.05"),
        ("users", None, "users of whom nothing was learned", "a tenth of the users"),
        ("random", "0.2", "events drawn at random", "--held-out 0.2"),
    ],
)
def test_other_parts_are_held_out(logq, ratings, tmp_path, how, value, part, told):
    held_out = ["--validation", how, *([] if value is None else ["--held-out", value])]
    code, out, err = logq("train", "item2vec", ratings, "-o", tmp_path / "m", *QUICK, *held_out)
    assert code == 0, err
    assert told in out
    assert (how in ("users", "random")) == ("users held out whole" in err or "drawn at random" in err)
    code, _, err = logq("evaluate", "ranking", tmp_path / "m", "--json", tmp_path / "s.json", "--k", 5)
    assert code == 0, err
    assert part in json.loads((tmp_path / "s.json").read_text())["test"]


@pytest.mark.parametrize(("users", "told"), [(5, ", for 5 users chosen at random; what was"), (0, " of each user.")])
def test_how_many_users_validated_is_said(logq, ratings, tmp_path, users, told):
    code, out, err = logq("train", "sasrec", ratings, "-o", tmp_path, *QUICK, "--validation-users", users)
    assert code == 0, err
    assert f"on the last event but one of each user{told.removeprefix(' of each user')}" in " ".join(out.split())


def test_parts_between_two_dates_are_held_out(logq, ratings, tmp_path):
    rows = ["user_id,item_id,ts"] + [
        f"u{user},i{(user + step) % 20},2024-01-{1 + step:02}" for user in range(20) for step in range(9)
    ]
    path = tmp_path / "dated.csv"
    path.write_text("\n".join(rows) + "\n")
    dates = ["--validation", "time", "--held-out", "2024-01-07,2024-01-08"]
    assert logq("train", "item2vec", path, "-o", tmp_path / "m", *QUICK, *dates, "-q")[0] == 0
    split = Split.load(tmp_path / "m" / "log", Interactions.load(tmp_path / "m" / "log"))
    assert [len(part) for part in (split.train, split.validation, split.test)] == [120, 20, 40]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["last", "0.5"],
            "such as 2 with --validation last, got '0.5'",
        ),
        (["users", "2"], "--held-out: expected a share above 0 and below 0.5, such as 0.05 with --validation users"),
        (["time", "2024-01-07"], "--held-out: expected a share, or two dates, such as 2024-02-01,2024-03-01"),
        (["time", "2024-02-01,2024-03-01"], "--held-out: expected a number, got '2024-03-01'"),
        (["none", "2"], "--held-out: expected none with --validation none, got '2'"),
    ],
)
def test_how_much_is_held_out_must_fit(logq, ratings, tmp_path, words, said):
    code, _, err = logq(
        "train", "item2vec", ratings, "-o", tmp_path / "m", "--validation", words[0], "--held-out", words[1]
    )
    assert code == 2
    assert said in err


def test_features_that_a_model_does_not_learn_from_are_said(logq, ratings, tmp_path):
    features = ["--item-features", ratings.parent / "items.csv"]
    _, _, err = logq("train", "youtube-dnn", ratings, "-o", tmp_path / "m", *QUICK, *features)
    assert (
        "--item-features: YoutubeDNN does not learn from them, unless --content says how; titles among them are shown"
        in err
    )
    _, _, err = logq("train", "two-tower", ratings, "-o", tmp_path / "m", *QUICK, *features)
    assert "does not learn" not in err


def test_bookings_and_markets(logq, tmp_path):
    rows = [
        f"{s},h{(s + i) % 9},{'book' if i == 3 else 'look'},{'north' if (s + i) % 9 < 5 else 'south'}"
        for s in range(30)
        for i in range(4)
    ]
    path = tmp_path / "clicks.csv"
    path.write_text("\n".join(["session,item,action,city", *rows]) + "\n")
    options = ["--booking", "action=book", "--market", "city", "--validation", "none", *QUICK]
    assert logq("train", "airbnb", path, "-o", tmp_path / "m", *options)[0] == 0
    code, _, err = logq("train", "airbnb", path, "-o", tmp_path / "m", "--booking", "action=buy", *QUICK)
    assert code == 2
    assert "--booking: 'action' is never 'buy'; its values include 'look', 'book'" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--heads", "3", "--dim", "64"], "--heads: expected a divisor of dim = 64, got 3"),
        (["--monitor", "auc"], "--monitor: expected one of hr, recall"),
        (["--user", "uid"], "--user: expected "),
        (["--lr", "-1"], "--lr: expected"),
        (["--device", "abacus"], "abacus"),
        (
            ["--objective", "full_softmax", "--sampler", "uniform"],
            "--sampler: expected None, as full_softmax ",
        ),
        (["--min-user", "100"], "LOG: expected events that are kept, got 360 events, all dropped: 360 rare user"),
        (["--item-features", "nowhere.csv"], "nowhere.csv: there is no such file"),
    ],
)
def test_bad_arguments_are_one_line_in_the_spelling_of_options(logq, ratings, tmp_path, words, message):
    code, _, err = logq("train", "sasrec", ratings, "-o", tmp_path / "new" / "m", *words)
    assert code == 2
    assert message in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("Error: ")
    assert not (tmp_path / "new").exists(), "an empty folder is taken away again"


def test_widths_of_layers(logq, ratings, tmp_path):
    folder = tmp_path / "m"
    assert logq("train", "youtube-dnn", ratings, "-o", folder, *QUICK, "--hidden", "16, 8")[0] == 0
    assert recommenders.Recommender.load(folder).settings()["hidden"] == [16, 8]
    code, _, err = logq("train", "youtube-dnn", ratings, "-o", folder, *QUICK, "--hidden", "16x8")
    said = "Error: --hidden: expected an integer >= 1, got '16x8'. Help: logq train youtube-dnn --help\n"
    assert (code, err) == (2, said)
    assert logq("train", "youtube-dnn", ratings, "-o", folder, *QUICK, "--hidden", ",")[0] == 0, "no layer"
    assert recommenders.Recommender.load(folder).settings()["hidden"] == []


def test_users_with_too_few_events_lead_to_another_validation(logq, tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item\n1,5\n1,7\n2,5\n2,7\n")
    code, _, err = logq("train", "sasrec", path, "-o", tmp_path / "m", *QUICK)
    assert code == 2
    assert "--validation last: expected users with at least 3 events, got at most 2; --validation none" in err


def test_users_with_too_few_events_after_the_split(logq, tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item\n" + "".join(f"{user},{item}\n" for user in range(4) for item in (5, 7, 9)))
    code, _, err = logq("train", "sasrec", path, "-o", tmp_path / "m", *QUICK)
    assert code == 2
    assert "after --validation last held out some; --validation none trains on all" in err


def test_ctrl_c_keeps_a_checkpoint_and_resume_goes_on(logq, ratings, tmp_path, monkeypatch):
    options = ["--dim", 8, "--epochs", 4, "--batch-size", 16, "--seed", 1, "--quiet"]
    assert logq("train", "sasrec", ratings, "-o", tmp_path / "whole", *options)[0] == 0
    folder = tmp_path / "m"

    def stop_at_five(_, step):
        if step == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(recommenders.NeuralRecommender, "_on_batch", stop_at_five)
        code, _, err = logq("train", "sasrec", ratings, "-o", folder, *options)
    assert code == 130
    said = f"no model was saved; the same command with --resume continues from the checkpoint in {folder}."
    assert err.splitlines()[-1] == f"Interrupted: {said}"
    assert (folder / "checkpoint.safetensors").exists()
    code, _, err = logq("train", "sasrec", ratings, "-o", folder, *options, "--resume", "--lr", 0.5)
    assert code == 2
    assert "lr" in err.splitlines()[-1]
    assert logq("train", "sasrec", ratings, "-o", folder, *options, "--resume")[0] == 0
    ours, theirs = (recommenders.Recommender.load(tmp_path / name).state() for name in ("m", "whole"))
    assert all((ours[name] == theirs[name]).all() for name in theirs)
    assert not (folder / "checkpoint.safetensors").exists()


def test_a_checkpoint_of_before_is_told_about(logq, ratings, tmp_path):
    folder = tmp_path / "m"
    _, _, err = logq("train", "sasrec", ratings, "-o", folder, *QUICK, "--resume")
    assert f"there is no checkpoint in {folder}: training starts from scratch." in err
    (folder / "checkpoint.safetensors").write_bytes(b"from before")
    _, _, err = logq("train", "sasrec", ratings, "-o", folder, *QUICK)
    assert f"the checkpoint of an earlier run in {folder} will be replaced" in err


@pytest.mark.parametrize("command", ["youtube-dnn", "mind", "sasrec"])
def test_targets_have_weights_and_others_behind_them(logq, tmp_path, command):
    rows = [f"{user},{'abcd'[(user + step) % 4]},{step},{step % 3}" for user in range(30) for step in range(6)]
    (tmp_path / "log.csv").write_text("\n".join(["user,item,time,worth", *rows]))
    words = ["train", command, tmp_path / "log.csv", "-o", tmp_path / "model", *QUICK, "--keep-seen"]
    code, _, err = logq(*words, "--weights", "worth", "--future", 3, "--future-decay", 0.5)
    assert code == 0, err
    settings = recommenders.Recommender.load(tmp_path / "model").settings()
    assert [settings[name] for name in ("weights", "future", "future_decay")] == ["worth", 3, 0.5]
    code, _, err = logq(*words, "--weights", "worthy")
    assert code == 2
    assert "expected some of 'user', 'item', 'time', 'worth', got 'worthy'" in err


def test_negatives_are_mixed_left_out_and_given(logq, tmp_path):
    events = [(user, step) for user in range(30) for step in range(6)]
    rows = [f"{user},{'abcdef'[(user + step) % 6]},{step},a {'cde'[step % 3]}" for user, step in events]
    (tmp_path / "log.csv").write_text("\n".join(["user,item,time,shown", *rows]))
    words = ["train", "youtube-dnn", tmp_path / "log.csv", "-o", tmp_path / "model", *QUICK, "--keep-seen"]
    words += ["--sampler", "uniform", "--num-sampled", 8]
    options = ["--extra-negatives", "shown", "--in-batch-share", 0.5, "--false-negatives", 0.9, "--unseen-negatives"]
    code, _, err = logq(*words, *options, "--false-negatives-by", "query", "--own-negatives")
    assert code == 0, err
    settings = recommenders.Recommender.load(tmp_path / "model").settings()
    found = [settings[name] for name in ("extra_negatives", "in_batch_share", "false_negatives", "false_negatives_by")]
    assert found == ["shown", 0.5, 0.9, "query"]
    code, _, err = logq(*words, "--in-batch-share", 0.01)
    assert code == 2
    assert "--in-batch-share: expected a share of num_sampled = 8 that leaves both parts at least one, got 0.01" in err


def test_a_context_is_learned_and_asked_with(logq, tmp_path):
    rows = [
        f"{user},{'abcd'[(user + step) % 4]},{step},{'xyxy'[(user + step) % 4]}"
        for user in range(30)
        for step in range(6)
    ]
    (tmp_path / "log.csv").write_text("\n".join(["user,item,time,query", *rows]))
    model = tmp_path / "model"
    words = ["train", "youtube-dnn", tmp_path / "log.csv", "-o", model, *QUICK, "--context", "query", "--keep-seen"]
    code, _, err = logq(*words)
    assert code == 0, err
    assert recommenders.Recommender.load(model).settings()["context"] == ["query"]
    code, out, err = logq("recommend", model, "--user", 3, "--context", "query=x", "--keep-seen")
    assert code == 0, err
    assert len(out.splitlines()) == 4
    code, _, err = logq("recommend", model, "--user", 3, "--context", "query")
    assert code == 2
    assert "--context: expected NAME=VALUE, got 'query'" in err


@pytest.mark.filterwarnings("default")  # so that the command says what else would be raised here
@pytest.mark.parametrize("name", ["youtube-dnn", "item2vec"])
def test_a_log_of_repeats_is_trained_on_and_validated_by_them(logq, tmp_path, name):
    rows = [f"{user},song {user % 3},{step}" for user in range(30) for step in range(6)]
    rows += [f"{user},song {(user + 1) % 3},0" for user in range(30)]
    (tmp_path / "log.csv").write_text("\n".join(["user,item,time", *rows]))
    words = ["train", name, tmp_path / "log.csv", "-o", tmp_path / "m", "--epochs", 2, "--dim", 4, "--seed", 1]
    code, out, err = logq(*words)
    assert code == 0, err
    assert "validation: only 0 of 30 events are of items that are new to their users; so items that they" in err
    assert "Next steps" in out
    code, _, err = logq("evaluate", "ranking", tmp_path / "m")
    assert code == 2
    assert "; --keep-seen ranks what users had before too" in err
    assert logq("evaluate", "ranking", tmp_path / "m", "--keep-seen", "--k", 1)[0] == 0


def test_a_model_is_saved_without_its_users(logq, ratings, tmp_path):
    train = ["train", "item2vec", ratings, "-o", tmp_path / "m", "--dim", 4, "--epochs", 1]
    assert logq(*train, "-q")[0] == 0
    assert (tmp_path / "m" / "log").exists()
    code, out, _ = logq(*train, "--no-histories")
    assert code == 0
    assert not (tmp_path / "m" / "log").exists()
    assert 'recommend(histories=["i0"])' in out
    assert "evaluate ranking" not in out
    assert not any(b"u17" in path.read_bytes() for path in (tmp_path / "m").iterdir())
    assert len(logq("recommend", tmp_path / "m", "--history", "i1", "-k", 3)[1].splitlines()) == 3
    without = "saved without"
    assert without in logq("recommend", tmp_path / "m", "--user", "u1")[2]
    assert without in logq("evaluate", "ranking", tmp_path / "m")[2]
    assert without in logq("index", tmp_path / "m", "-o", tmp_path / "i", "--check")[2]


def test_sessions_are_not_saved_without_users(logq, ratings, tmp_path):
    words = ["train", "session-knn", ratings, "-o", tmp_path / "m", "--no-histories", "-q"]
    code, _, err = logq(*words)
    assert code == 2
    assert "--no-users: expected none with session-knn, which answers from what users did" in err


def test_a_log_of_too_many_items_is_refused_in_the_spelling_of_options(logq, ratings, tmp_path):
    code, _, err = logq("train", "ease", ratings, "-o", tmp_path / "m", "--max-items", 10)
    assert code == 2
    assert "--max-items: expected at least 20, the number of items of the log, got 10; EASE would take 1.6 kB" in err


def test_vectors_of_users_are_not_saved_without_users(logq, ratings, tmp_path):
    words = ["train", "two-tower", ratings, "-o", tmp_path / "m", "--user-vectors", "--no-histories", "-q"]
    assert "--no-users: expected none with --user-vectors" in logq(*words)[2]


def test_events_that_no_time_tells_apart_are_said_where_the_log_is_split(logq, tmp_path):
    path = tmp_path / "log.csv"
    rows = [f"u{user},i{(user + step) % 9},{step // 2}\n" for user in range(12) for step in range(6)]
    path.write_text("user_id,item_id,ts\n" + "".join(rows))
    train = ["train", "item2vec", path, "-o", tmp_path / "m", "--dim", 4, "--epochs", 1]
    assert "Note: equal times at the cut: the test event of 12 of 12 users; the order" in logq(*train)[2]
    assert "equal times" not in logq(*train, "--validation", "none")[2]
    evaluate = ["evaluate", "ranking", tmp_path / "m", path, "--leave-one-out", "--k", 3, "--no-baseline"]
    assert "Note: equal times at the cut: the test event of 12 of 12 users" in logq(*evaluate)[2]


def test_bookings_are_told_by_a_column_of_names(logq, ratings, tmp_path):
    options = ["--booking", "rating=5", "--epochs", 1, "-q"]
    code, _, err = logq("train", "airbnb", ratings, "-o", tmp_path / "m", *options)
    assert (code, err) == (2, "Error: --booking: expected a column of names before =, 'rating' has numbers\n")


def test_a_model_goes_on_with_a_log_that_grew(logq, ratings, tmp_path):
    lines = ratings.read_text().splitlines()
    old, new = tmp_path / "old.csv", tmp_path / "new.csv"
    renamed = "who,what,stars,when"
    old.write_text("\n".join([renamed, *lines[1:300]]) + "\n")
    added = [f"x{user},{item},5,{900_000 + user}" for user, item in enumerate(["i3", "i4", "fresh", "i3"] * 2)]
    added += [f"u1,fresh,1,{950_000}", f"u2,i19,5,{950_001}"]
    new.write_text("\n".join([renamed, *lines[290:], *added]) + "\n")
    folder = tmp_path / "m"
    words = ["--user", "who", "--item", "what", "--min-label", 2, *QUICK]
    assert logq("train", "sasrec", old, "-o", folder, *words)[0] == 0
    before = recommenders.Recommender.load(folder)
    code, out, err = logq("train", "sasrec", "--continue", new, "-o", folder)
    assert code == 0, err
    # Of 71 rows again ten are known, and those with a label of 1 are left out; so is what u1 did.
    assert "Took in 58 new events of 20 users (18 new) and 14 items (1 new); 8 events were known already." in out
    assert "label below 2" in err, "as the first log was read"
    after = recommenders.Recommender.load(folder)
    size = before.known.num_items
    assert after.known.item_ids.keys[:size].tolist() == before.known.item_ids.keys.tolist()
    assert "x2" in after.known.user_ids.keys.tolist()
    assert after.settings()["dim"] == 8
    assert logq("evaluate", "ranking", folder)[0] == 0
    assert len(logq("recommend", folder, "--user", "x2", "-k", 3, "--unknown", "popular")[1].splitlines()) >= 3
    told = json.loads((folder / "training.json").read_text())
    assert told["earlier_logs"] == [str(old)]
    code, _, err = logq("train", "sasrec", "--continue", new, "-o", folder)
    assert code != 0
    assert "that the log of" in err
    assert "has already; nothing was changed" in err


def test_a_column_that_is_not_there_is_said_of_its_option(logq, ratings, tmp_path):
    for option in ("--weights", "--extra-negatives", "--context"):
        code, _, err = logq("train", "youtube-dnn", ratings, "-o", tmp_path / "m", option, "nosuch")
        assert (code, err.split(",")[0]) == (2, f"Error: {option}: expected some of 'user_id'")
    sizes = tmp_path / "items.csv"
    sizes.write_text("item,size\ni1,2\n")
    words = ["--item-features", sizes, "--content", "sum", "--numeric", "price"]
    code, _, err = logq("train", "youtube-dnn", ratings, "-o", tmp_path / "m", *words)
    assert (code, err.split(";")[0]) == (2, "Error: --numeric: expected some of 'size', got 'price'")
    sizes.write_text("item,size\n")
    code, _, err = logq("train", "youtube-dnn", ratings, "-o", tmp_path / "m", *words[:4])
    assert (code, err) == (2, f"Error: {sizes}: expected features of what the log has, found no row with a value\n")


def test_words_for_a_missing_id_are_those_that_are_named(logq, tmp_path):
    log = tmp_path / "log.csv"
    log.write_text(
        "user,item,time\n" + "".join(f"u{n % 4},{['NA', 'None', '-', 'tea', 'cup'][n % 5]},{n}\n" for n in range(40))
    )
    _, out, err = logq("train", "popularity", log, "-o", tmp_path / "m")
    assert "Read 24 events of 4 users with 3 items." in out
    assert "'NA', 'None' count as missing, in 16 rows; --missing WORD says which words do" in err
    _, out, _ = logq("train", "popularity", log, "-o", tmp_path / "m", "--missing", "-", "--missing", "None")
    assert "Read 24 events of 4 users with 3 items." in out
    later = tmp_path / "later.csv"
    later.write_text("user,item,time\nu1,-,90\nu1,NA,91\n")
    _, out, err = logq("train", "popularity", "--continue", later, "-o", tmp_path / "m")
    assert "Took in 1 new event of 1 user (0 new) and 1 item (0 new)." in out, err


def test_a_log_of_one_item_is_refused_unless_a_model_goes_on(logq, ratings, tmp_path):
    log, folder = tmp_path / "log.csv", tmp_path / "m"
    log.write_text("user_id,item_id,rating,ts\n" + "".join(f"u{n},fresh,5,{n + 950000}\n" for n in range(3)))
    for validation, message in (("last", "expected users with at least 3 events"), ("none", "at least two items")):
        code, _, err = logq("train", "popularity", log, "-o", folder, "--validation", validation)
        assert code == 2
        assert message in err
    assert logq("train", "popularity", ratings, "-o", folder, "-q")[0] == 0
    code, out, err = logq("train", "popularity", "--continue", log, "-o", folder)
    assert code == 0, err
    assert "Took in 3 new events of 3 users (0 new) and 1 item (1 new)." in out


@pytest.mark.filterwarnings("default::logq.recommenders.ranking.ranker.EvaluationWarning")
def test_where_hardly_an_event_is_of_a_new_item_validation_ranks_all(logq, tmp_path):
    log = tmp_path / "log.csv"
    rows = [f"u{user},i{(user + n % 3) % 9},{n}" for user in range(20) for n in range(9)]
    log.write_text("\n".join(["user,item,time", *rows, "v,i1,1", "v,i2,2", "v,i3,3"]) + "\n")
    said = "validation: only 1 of 21 events are of items that are new to their users; so items that they had before are"
    for command, more in (("ease", []), ("youtube-dnn", ["--epochs", 2, "--dim", 4, "--seed", 1])):
        _, out, err = logq("train", command, log, "-o", tmp_path / command, *more)
        assert f"{said} ranked too, as --keep-seen does" in err
        assert "ndcg@10 0.0000" not in out
        assert "exclude_seen" not in err


def test_where_some_events_do_not_count_it_is_said(logq, tmp_path):
    log = tmp_path / "log.csv"
    rows = [f"u{user},i{(user + n % (7 + user % 2)) % 19},{n}" for user in range(40) for n in range(9)]
    log.write_text("\n".join(["user,item,time", *rows]) + "\n")
    _, _, err = logq("train", "ease", log, "-o", tmp_path / "m")
    assert "validation: 50.0 % of the 40 events to be found are of items that their users had before" in err
    assert "--keep-seen ranks them too" in err


@pytest.mark.parametrize("numeric", [[], ["--numeric", "price"]])
def test_features_of_a_log_that_grew_are_read_as_before(logq, ratings, tmp_path, numeric):
    first, later = tmp_path / "items.csv", tmp_path / "later.csv"
    rows = [f"i{item},{item / 7:.3f},{'a|b' if item % 2 else 'b'},s{item % 3}" for item in range(20)]
    first.write_text("\n".join(["item,price,kinds,size", *rows]) + "\n")
    later.write_text("item,price,kinds,size\nfresh,900.5,c,38\n")  # other quantiles, one kind, a size that is a number
    new, folder = tmp_path / "new.csv", tmp_path / "m"
    new.write_text("user_id,item_id,rating,ts\nu1,fresh,5,950000\nu1,i3,5,950001\nu2,fresh,5,950002\n")
    words = ["--item-features", first, "--content", "sum", *numeric, *QUICK]
    assert logq("train", "youtube-dnn", ratings, "-o", folder, *words)[0] == 0
    before = recommenders.Recommender.load(folder).known.item_features
    code, _, err = logq("train", "youtube-dnn", "--continue", new, "-o", folder, "--item-features", later)
    assert code == 0, err
    known = recommenders.Recommender.load(folder).known
    after, fresh = known.item_features, known.item_ids.codes(["fresh"])[0]
    if numeric:
        assert after.scales == before.scales
        assert after.dense["price"][fresh].tolist() == [10, 1]
    else:
        assert after.codings["price"].edges.tolist() == before.codings["price"].edges.tolist()
        assert after.values["price"][fresh] == len(before.codings["price"])
    assert after.codings["kinds"].known.keys[after.values["kinds"][fresh, 0] - 1] == "c"
    assert after.codings["size"].known.keys[after.values["size"][fresh] - 1] == "38"
    arrivals = tmp_path / "arrivals.csv"
    arrivals.write_text("item,size\nnewer,38\n")
    code, _, err = logq("recommend", folder, "--user", "u1", "--new-items", arrivals)
    assert code == 0, err


@pytest.mark.parametrize(
    ("command", "option", "message"),
    [
        ("sasrec", ["--dim", 9], "--dim: expected 16, as the model in"),
        ("sasrec", ["--lr", 0.1], "--lr: expected none with --continue, which goes by --warm-lr"),
        ("sasrec", ["--validation", "random"], "--validation: expected last, time or none with --continue"),
        ("mind", [], "holds a SASRec, which `logq train mind` does not make"),
    ],
)
def test_what_cannot_change_when_a_model_goes_on_is_said(logq, ratings, model, command, option, message):
    before = (model / "model.safetensors").read_bytes()
    code, _, err = logq("train", command, "--continue", ratings, "-o", model, *option)
    assert code != 0
    assert message in err
    assert (model / "model.safetensors").read_bytes() == before


def test_a_model_without_users_goes_on_without_them(logq, ratings, tmp_path):
    folder = tmp_path / "m"
    assert logq("train", "sasrec", ratings, "-o", folder, *QUICK, "--no-users", "-q")[0] == 0
    new = tmp_path / "new.csv"
    new.write_text("user_id,item_id,rating,ts\n" + "".join(f"customer,i{item},5,{item}\n" for item in range(3)))
    assert logq("train", "sasrec", "--continue", new, "-o", folder, "--validation", "none", "-q")[0] == 0
    assert len(recommenders.Recommender.load(folder).known.user_ids) == 0
    assert b"customer" not in (folder / "model.safetensors").read_bytes()
    assert not (folder / "log").exists()
