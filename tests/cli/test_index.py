import io
import json
import re
import shutil
import sys

import numpy as np
import pytest
import torch

from index_cases import INSTALLED
from logq import Interactions, YoutubeDNN
from logq.cli import main
from logq.cli.indexed_items import feature_texts
from logq.folders.folder_contents import is_shards
from logq.logs import Features, Identifiers
from logq.recommenders import Recommender
from logq.retrieval import index_choice, item_keys, load_index, open_items
from logq.vectors import KeyedVectors


class Terminal(io.StringIO):
    def isatty(self):
        return True


def lines(out):
    return [line.split("\t") for line in out.splitlines()]


@pytest.mark.parametrize("kind", ["exact", "faiss-hnsw", "usearch"])
def test_recommendations_from_an_index(logq, model, tmp_path, kind):
    pytest.importorskip({"exact": "numpy", "faiss-hnsw": "faiss", "usearch": "usearch"}[kind])
    code, out, err = logq("index", model, "-o", tmp_path / "index", "--kind", kind)
    assert (code, err) == (0, "")
    assert out.startswith(f"{kind} of 20 items, 16 numbers each, made in ")
    words = ["recommend", model, "--user", "u3", "-k", 5]
    plain, searched = lines(logq(*words)[1]), lines(logq(*words, "--index", tmp_path / "index")[1])
    assert [[*line[:2], *line[3:]] for line in searched] == [[*line[:2], *line[3:]] for line in plain]
    assert [float(line[2]) for line in searched] == pytest.approx([float(line[2]) for line in plain], rel=1e-5)


def test_the_index_is_asked(logq, model, tmp_path):
    """An index of other vectors gives other answers: nothing else than the index is searched."""
    assert logq("index", model, "-o", tmp_path / "index")[0] == 0
    made = load_index(tmp_path / "index")
    rows = Recommender.load(model).search_vectors
    made.remove(np.arange(20))
    made.add(np.arange(20), -rows)
    made.save(tmp_path / "index")
    words = ["recommend", model, "--history", "i3", "-k", 1]
    assert logq(*words)[1] != logq(*words, "--index", tmp_path / "index")[1]


def test_recall_of_a_new_index_and_of_one_that_is_there(logq, model, tmp_path):
    code, out, _ = logq("index", model, "-o", tmp_path / "index", "--check", "-k", 3)
    assert code == 0
    assert [line[:3] for line in lines(out)] == [["exact", "recall@3", "1.000000"]]
    made = (tmp_path / "index" / "index.safetensors").stat().st_mtime_ns
    again = logq("index", model, "-o", tmp_path / "index", "--check", "-k", 3)[1]
    assert [line[:3] for line in lines(again)] == [["exact", "recall@3", "1.000000"]]
    assert (tmp_path / "index" / "index.safetensors").stat().st_mtime_ns == made


def test_options_of_an_index(logq, model, tmp_path):
    pytest.importorskip("faiss")
    options = ["--kind", "faiss-ivf", "--option", "nlist=4", "--option", "nprobe=1", "--check"]
    code, out, _ = logq("index", model, "-o", tmp_path / "index", *options)
    assert code == 0
    assert [line[0] for line in lines(out)] == ["faiss-ivf", "exact"]
    made = json.loads((tmp_path / "index" / "made_of.json").read_text())
    assert (made["kind"], made["options"]) == ("faiss-ivf", {"nlist": 4, "nprobe": 1})


def test_a_terminal_gets_a_table_and_what_to_type(model, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert main(["index", str(model), "-o", str(tmp_path / "i"), "--check"]) == 0
    shown = sys.stdout.getvalue()
    assert "recall@10" in shown
    assert "With the queries of 60 users" in shown
    assert f"--index {tmp_path / 'i'}" in shown


def test_an_index_of_another_model_is_refused(logq, model, ratings, tmp_path):
    assert logq("index", model, "-o", tmp_path / "index")[0] == 0
    options = ["--dim", 16, "--epochs", 1, "-q", "--seed", 2]
    assert logq("train", "sasrec", ratings, "-o", tmp_path / "m", *options)[0] == 0
    code, out, err = logq("recommend", tmp_path / "m", "--user", "u3", "--index", tmp_path / "index")
    assert (code, out) == (2, "")
    assert "this index was made from another model, or an earlier one; build it again" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give a folder for the index by --output, a database by --to, or --check"),
        (["--to", "duckdb:x.duckdb", "--kind", "usearch"], "expected --output with them"),
        (["--to", "x.duckdb"], "--to: expected one of duckdb:FILE, "),
        (["--native", "{0}/x", "--check"], "--native: expected --output with it"),
        (["-o", "{0}/i", "--native", "{0}/x"], "--native: expected an index of faiss, usearch or hnswlib"),
        (["--check", "--option", "nprobe=3"], "--option: expected --kind with it"),
        (["-o", "{0}/i", "--recall", "1.5"], "--recall: expected a share in (0, 1], got 1.5"),
        (["-o", "{0}/i", "--json", "{0}/x.json"], "--json: expected --check with it, whose numbers it writes"),
        (["-o", "{0}/i", "--option", "nprobe"], "--option: expected NAME=N such as nprobe=32, got 'nprobe'"),
        (["-o", "{0}/i", "--option", "nprobe=--3"], "--option: expected NAME=N such as nprobe=32, got 'nprobe=--3'"),
        (["--to", "postgres:"], "--to: expected postgresql://USER@HOST/DATABASE, got 'postgres:'"),
        (["-o", "{0}/i", "--option", "nprobe=3"], "--option: exact does not take nprobe"),
        (["-o", "{0}/i", "--kind", "annoy"], "annoy"),
        (["--duckdb", "{0}/x.duckdb", "--table", "a b"], "--table: expected a name of letters, digits and _"),
    ],
)
def test_bad_input(logq, model, tmp_path, words, message):
    code, _, err = logq("index", model, *(word.format(tmp_path) for word in words))
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("module", "words"), [("faiss", ["--kind", "faiss-hnsw", "-o", "{0}/i"]), ("duckdb", ["--duckdb", "{0}/x"])]
)
def test_a_missing_library_is_said_with_the_command(logq, model, tmp_path, monkeypatch, module, words):
    monkeypatch.setitem(sys.modules, module, None)
    code, _, err = logq("index", model, *(word.format(tmp_path) for word in words))
    assert code == 2
    assert f"pip install 'logq[{module}]'" in err


def test_a_missing_library_is_said_before_the_model_is_loaded(logq, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    code, _, err = logq("index", tmp_path, "--kind", "faiss-hnsw", "-o", tmp_path / "i")
    assert (code, "this index needs faiss: pip install 'logq[faiss]'" in err) == (2, True)


def test_no_index_is_there(logq, model, tmp_path):
    code, _, err = logq("recommend", model, "--user", "u3", "--index", tmp_path / "nowhere")
    assert code == 2
    assert "there is no such index; `logq index` makes one" in err


def test_items_in_duckdb(logq, model, tmp_path):
    duckdb = pytest.importorskip("duckdb")
    place = tmp_path / "items.duckdb"
    for _ in range(2):  # a second time replaces
        code, out, _ = logq("index", model, "--duckdb", place)
        assert code == 0
    assert f"20 items saved to the table items of {place}: id, vector, item, count, title, kind." in out
    with duckdb.connect(str(place)) as database:
        rows = database.execute("SELECT item, title, kind, count, vector FROM items ORDER BY id").fetchall()
    known = Recommender.load(model)
    assert [row[0] for row in rows] == known.item_ids.tolist()
    assert all(row[1] == f"Item number {row[0][1:]}" for row in rows)
    assert all(row[2] == ("even" if int(row[0][1:]) % 2 == 0 else "odd") for row in rows)
    assert [row[3] for row in rows] == known.known.item_counts().tolist()
    assert np.allclose([row[4] for row in rows], known.search_vectors)


def test_items_of_another_shape_are_refused_by_duckdb(logq, model, ratings, tmp_path):
    pytest.importorskip("duckdb")
    place = tmp_path / "items.duckdb"
    assert logq("index", model, "--duckdb", place)[0] == 0
    shutil.copytree(model, tmp_path / "m")
    assert logq("train", "item2vec", ratings, "-o", tmp_path / "m", "--dim", 4, "--epochs", 1, "-q")[0] == 0
    code, _, err = logq("index", tmp_path / "m", "--duckdb", place)
    assert code == 2
    assert "16" in err
    assert json.loads((tmp_path / "m" / "training.json").read_text())["estimator"] == "Item2Vec"


def test_postgres_that_does_not_answer(logq, model):
    pytest.importorskip("psycopg")
    code, _, err = logq("index", model, "--postgres", "postgresql://nobody@127.0.0.1:1/none?connect_timeout=2")
    assert code == 2
    assert "--postgres: " in err


def test_similar_items_are_found_in_an_index_of_cosines(logq, model, tmp_path):
    place = tmp_path / "alike"
    code, out, err = logq("index", model, "-o", place, "--metric", "cosine", "--check", "-k", 3)
    assert (code, err, lines(out)[0][:3]) == (0, "", ["exact", "recall@3", "1.000000"])
    plain, searched = (logq("similar", model, "i3", "-k", 5, *words) for words in ((), ("--index", place)))
    assert (searched[0], searched[2]) == (0, "")
    assert [line[:2] for line in lines(searched[1])] == [line[:2] for line in lines(plain[1])]
    made = load_index(place)
    made.remove([int(Recommender.load(model).known.item_ids.codes([lines(plain[1])[0][1]])[0])])
    made.save(place)
    assert lines(logq("similar", model, "i3", "-k", 4, "--index", place)[1]) == lines(plain[1])[1:]


def test_an_index_by_the_other_metric_is_refused_with_what_to_type(logq, model, tmp_path):
    for metric, words in (
        ("cosine", ["recommend", model, "--user", "u3"]),
        ("inner_product", ["similar", model, "i3"]),
    ):
        place = tmp_path / metric
        assert logq("index", model, "-o", place, "--metric", metric, "-q")[0] == 0
        code, out, err = logq(*words, "--index", place)
        assert (code, out) == (2, "")
        command = err.split("`")[1].split()
        assert command[:2] == ["logq", "index"]
        typed = [{"MODEL": model, "INDEX": place}.get(word, word) for word in command[1:]]
        assert logq(*typed)[0] == 0
        assert logq(*words, "--index", place)[0] == 0


def test_a_terminal_is_told_how_to_search_an_index_of_cosines(model, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    assert main(["index", str(model), "-o", str(tmp_path / "a"), "--metric", "cosine", "--check"]) == 0
    assert "With the vectors of 20 items" in terminal.getvalue()
    assert f"logq similar {model} --index {tmp_path / 'a'} " in " ".join(terminal.getvalue().split())


def test_an_index_does_not_go_into_the_folder_of_a_model(logq, model, vectors):
    before = sorted(path.name for path in model.iterdir())
    for folder in (model, vectors):
        code, _, err = logq("index", model, "-o", folder)
        assert code == 2
        assert f"--output: {folder} holds" in err
        assert "take another one" in err
    assert sorted(path.name for path in model.iterdir()) == before


def test_what_a_check_found_is_written_as_json(logq, model, tmp_path):
    written = tmp_path / "check.json"
    code, out, _ = logq("index", model, "-o", tmp_path / "i", "--check", "-k", 3, "--json", written)
    assert code == 0
    found = json.loads(written.read_text())
    assert (found["k"], found["queries"]) == (3, 60)
    (one,) = found["indexes"]
    assert [one["index"], "recall@3", "1.000000"] == lines(out)[0][:3]
    assert one["queries_per_second"] == pytest.approx(float(lines(out)[0][4]), abs=0.06)


def test_only_names_become_columns_of_a_database(tmp_path):
    ids = Identifiers(["a", "b", "c"])
    table = {"item": ["a", "b", "c"], "price": [1.5, 2.5, 9.0], "tags": ["hot|green", "", "green"]}
    features = Features.from_frame(table, ids, separator={"tags": "|"}, buckets={"price": 2})
    assert feature_texts(features, "tags") == ["hot|green", None, "green"]
    assert feature_texts(features, "price") is None


@pytest.mark.parametrize("kind", ["exact", "faiss-hnsw"])
def test_an_index_of_vectors_in_shards_is_that_of_the_model(logq, model, tmp_path, kind):
    pytest.importorskip({"exact": "numpy", "faiss-hnsw": "faiss"}[kind])
    made = Recommender.load(model)
    made.write_vector_shards(tmp_path / "shards")
    code, out, err = logq("index", tmp_path / "shards", "-o", tmp_path / "index", "--kind", kind)
    assert (code, err) == (0, "")
    assert out.startswith(f"{kind} of 20 items in 1 shard, made in ")
    words = ["recommend", model, "--user", "u3", "-k", 5]
    plain, searched = lines(logq(*words)[1]), lines(logq(*words, "--index", tmp_path / "index")[1])
    assert [[*line[:2], *line[3:]] for line in searched] == [[*line[:2], *line[3:]] for line in plain]
    assert item_keys(tmp_path / "index", np.arange(3)).tolist() == made.item_ids[:3].tolist()
    assert lines(logq("index", model, "-o", tmp_path / "index", "--check", "-k", 3)[1])[0][1:3] == [
        "recall@3",
        "1.000000",
    ]
    made.write_vector_shards(tmp_path / "shards", metric="cosine")
    assert logq("index", tmp_path / "shards", "-o", tmp_path / "alike")[0] == 0
    words = ["similar", model, "i3"]
    assert lines(logq(*words, "--index", tmp_path / "alike")[1])[:3] == lines(logq(*words)[1])[:3]


def test_shards_of_another_model_are_told_from_those_of_this_one(logq, model, tmp_path):
    made = Recommender.load(model)
    with torch.no_grad():
        made.model.items.weight[3] += 1
    made.write_vector_shards(tmp_path / "shards")
    assert logq("index", tmp_path / "shards", "-o", tmp_path / "index", "-q")[0] == 0
    code, _, err = logq("recommend", model, "--user", "u3", "--index", tmp_path / "index")
    assert code != 0
    assert "made from another model" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "index", "--check"], "--check: expected none with vectors in shards"),
        (["--duckdb", "items.duckdb"], "--output: expected it alone with vectors in shards"),
        (["-o", "index", "--option", "nprobe=3"], "nprobe"),
        (["-o", "index", "--metric", "cosine"], "--metric: expected inner_product, which the shards were written for"),
        (["-o", "shards"], "--output: shards holds vectors in shards"),
    ],
)
def test_what_shards_cannot_do_is_said(logq, model, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    Recommender.load(model).write_vector_shards("shards")
    code, _, err = logq("index", "shards", *words)
    assert code == 2
    assert message in err
    assert (
        "expected a recommender in this folder, found vectors in shards; `logq index`"
        in logq("recommend", "shards", "--user", 1)[2]
    )


def test_a_prepared_log_is_not_taken_for_shards(logq, tmp_path):
    (tmp_path / "manifest.json").write_text('{"format": "logq.partitions", "files": []}')
    assert not is_shards(tmp_path)
    err = logq("index", tmp_path, "-o", tmp_path / "index")[2]
    assert "expected a recommender or word vectors in this folder, found none" in err


def test_settings_are_chosen_for_a_recall_and_kept(logq, model, tmp_path):
    pytest.importorskip("faiss")
    words = [
        "index",
        model,
        "-o",
        tmp_path / "i",
        "--kind",
        "faiss-ivf",
        "--option",
        "nlist=6",
        "-k",
        3,
        "--recall",
        0.9,
    ]
    code, out, err = logq(*words, "--json", tmp_path / "x.json")
    assert (code, err) == (0, "")
    rows = lines(out)
    assert [row[0] for row in rows] == ["faiss-ivf"] * (len(rows) - 1) + ["exact"]
    verified = rows[-2]
    assert (verified[-1], float(verified[2]) >= 0.9, verified[5]) == ("verified", True, "bytes")
    made = json.loads((tmp_path / "i" / "made_of.json").read_text())
    setting = load_index(tmp_path / "i").search_setting
    assert made["chosen"] == {"recall": pytest.approx(float(verified[2]), abs=1e-6), "nprobe": setting.value}
    assert verified[7] == f"nlist=6, nprobe={setting.value}"
    written = json.loads((tmp_path / "x.json").read_text())
    assert [row["verified"] for row in written["indexes"]] == [False] * (len(rows) - 2) + [True, False]
    assert written["queries"] == 30
    assert logq("recommend", model, "--user", "u3", "--index", tmp_path / "i")[0] == 0


def test_a_recall_that_no_setting_reaches_is_refused_with_the_best(logq, model, tmp_path):
    pytest.importorskip("faiss")
    words = ["index", model, "-o", tmp_path / "i", "--kind", "faiss-pq", "--option", "code_bytes=1", "--recall", 1]
    code, out, err = logq(*words)
    assert (code, out) == (2, "")
    assert "Error: --recall: expected at most what faiss-pq reaches, 0." in err
    assert " with code_bytes=1, nprobe=1, got 1" in err
    assert not (tmp_path / "i").exists()
    code, _, err = logq(*words[:-2], "--recall", 0.5, "--option", "nprobe=1")
    assert (code, "--option nprobe: expected none with a recall, which chooses it" in err) == (2, True)


@pytest.mark.parametrize("recall", [[], ["--recall", 0.9]])
def test_all_kinds_are_compared_and_nothing_is_saved(logq, model, tmp_path, monkeypatch, recall):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("logq.retrieval.index_choice._SECONDS", 0.0)
    code, out, _ = logq("index", model, "--check", *recall, "-k", 3)
    assert code == 0
    rows = lines(out)
    assert {row[0] for row in rows} >= {"exact"}
    assert {row[0] for row in rows} <= set(INSTALLED)
    assert recall or {row[0] for row in rows} == set(INSTALLED)
    speeds = [float(row[4]) for row in rows]
    assert speeds == sorted(speeds, reverse=True)
    assert list(tmp_path.iterdir()) == []


def test_without_a_kind_the_fastest_that_finds_enough_is_chosen_and_named(logq, model, tmp_path, monkeypatch):
    """Trials as they are, but for their speeds: those of faiss-pq would win, and it does not find enough."""
    pytest.importorskip("faiss")
    speeds = {"faiss-pq": 9.0, "faiss-ivf": 5.0, "exact": 3.0}
    trial = index_choice._Asked.trial
    monkeypatch.setattr(
        index_choice._Asked,
        "trial",
        lambda self, index, options: trial(self, index, options)._replace(
            queries_per_second=speeds.get(index.kind, 1.0), **({"recall": 0.5} if index.kind == "faiss-pq" else {})
        ),
    )
    monkeypatch.setattr("logq.retrieval.index_choice._SECONDS", 0.0)
    code, out, err = logq("index", model, "-o", tmp_path / "i", "-k", 3, "--recall", 0.9)
    assert code == 0
    assert {row[0] for row in lines(out)} == {"faiss-ivf", "exact"}
    assert "Note: faiss-ivf is chosen, the fastest of the kinds that find 0.9: 5 queries/s, exact 3, " in err
    assert "Note: faiss-pq: --recall: expected at most what faiss-pq reaches, 0.5" in err
    assert load_index(tmp_path / "i").kind == "faiss-ivf"
    speeds["exact"] = 7.0
    assert logq("index", model, "-o", tmp_path / "i", "-k", 3, "--recall", 0.9, "--quiet")[2] == ""
    assert json.loads((tmp_path / "i" / "made_of.json").read_text())["chosen"] == {"recall": 1.0}
    code, _, err = logq("index", model, "-o", tmp_path / "i", "--recall", 0.9, "--option", "nprobe=3")
    assert (code, "--option: expected --kind with it, whose setting it is" in err) == (2, True)


def test_features_whose_columns_would_have_one_name_are_told_apart(logq, tmp_path):
    duckdb = pytest.importorskip("duckdb")
    log = Interactions.from_sessions([["tea", "cup"], ["cup", "tea"]] * 3)
    table = {"item": ["tea", "cup"], "kind!": ["a", "b"], "kind?": ["c", "d"], "KIND_": ["e", "f"], "count": ["g", "h"]}
    table |= {"id": ["i", "j"], "price": [1.0, 2.0]}
    features = Features.from_frame(table, log.item_ids, buckets={"price": 2})
    model = YoutubeDNN(dim=4, hidden=(4,), epochs=1, seed=1).fit(log.with_features(items=features), progress=False)
    model.save(tmp_path / "model")
    code, out, err = logq("index", tmp_path / "model", "--to", f"duckdb:{tmp_path / 'x'}", "--metric", "inner_product")
    assert code == 0
    assert "id, vector, item, count, kind_, kind__2, KIND__3, count_2, id_2.\n" in out
    for said in (
        "the feature 'kind?' is the column kind__2, as there is another kind_",
        "the feature 'KIND_' is the column KIND__3, as there is another KIND_",
        "the feature 'count' is the column count_2, as there is another count",
        "the feature 'id' is the column id_2, as there is another id",
        "the feature 'price' is no column, as its numbers were cut into buckets",
    ):
        assert f"Note: {said}\n" in err
    with duckdb.connect(str(tmp_path / "x")) as database:
        rows = database.execute(
            "SELECT item, kind_, kind__2, KIND__3, count_2, id_2 FROM items ORDER BY item"
        ).fetchall()
    assert rows == [("cup", "b", "d", "f", "h", "j"), ("tea", "a", "c", "e", "g", "i")]


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:sesame@localhost:1/shop",
        "postgresql://me:sesame@no host/shop",
        "postgresql:/me:sesame@localhost/shop",
        "postgresql://me:ses/ame@localhost:x/shop",
        "postgres://localhost:1/shop?password=sesame",
        "redis://me:sesame@localhost",
        "me:sesame@localhost/shop",
        "host=localhost password=sesame",
        "host=localhost password='ses ame'",
        "qdrant:http://me:sesame@localhost:1",
        "qdrant:me:sesame@localhost",
        "milvus:http://me:sesame@localhost:x",
        "milvus:me:sesame@localhost",
    ],
)
def test_passwords_of_addresses_are_never_said(logq, vectors, address):
    code, out, err = logq("index", vectors, "--to", address)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "--to: " in err
    assert not re.search("ses.?ame", err)


def test_words_have_indexes_and_databases_too(logq, vectors, tmp_path):
    known = KeyedVectors.load(vectors)
    code, out, err = logq("index", vectors, "-o", tmp_path / "i", "--check", "-k", 2)
    assert (code, err, lines(out)[0][:3]) == (0, "", ["exact", "recall@2", "1.000000"])
    made = load_index(tmp_path / "i")
    assert (made.metric, len(made)) == ("cosine", len(known))
    word = known.index_to_key[0]
    nearest = [word for word, _ in known.most_similar(word, topn=3)]
    assert [word for word, _ in known.most_similar(word, topn=3, index=made)] == nearest
    assert logq("index", vectors, "-o", tmp_path / "i", "--check")[0] == 0
    pytest.importorskip("duckdb")
    assert logq("index", vectors, "--to", f"duckdb:{tmp_path / 'words.duckdb'}", "--table", "words", "-q")[0] == 0
    with open_items(f"duckdb:{tmp_path / 'words.duckdb'}", table="words") as store:
        assert (store.metric, store.columns["word"]) == ("cosine", "text")
        assert store.read().columns["word"] == known.index_to_key
        found = store.search(known[word][None], 1, where=[("word", "!=", word)])
    assert known.index_to_key[int(found.ids[0, 0])] == nearest[0]


@pytest.mark.parametrize("kind", ["lancedb", "milvus"])
def test_items_go_into_every_database(logq, model, tmp_path, kind):
    pytest.importorskip({"lancedb": "lancedb", "milvus": "milvus_lite"}[kind])
    place = tmp_path / "items.db"
    code, out, _ = logq("index", model, "--to", f"{kind}:{place}")
    assert code == 0
    assert f"20 items saved to the table items of {place}: id, vector, item, count, title, kind." in out
    with open_items(f"{kind}:{place}") as store:
        assert store.read([("kind", "=", "even")]).columns["item"] == [f"i{number}" for number in range(0, 20, 2)]


def test_a_server_that_does_not_answer_is_said(logq, model):
    pytest.importorskip("qdrant_client")
    code, _, err = logq("index", model, "--to", "qdrant:http://127.0.0.1:1")
    assert code == 2
    assert "--to: " in err
    assert "refused" in err
    code, _, err = logq("index", model, "--to", "qdrant:nowhere")
    assert (code, err.partition(", got")[0]) == (2, "Error: --to: expected the URL of a server, :memory: or a client")


def test_the_file_of_the_library_is_written(logq, model, tmp_path):
    faiss = pytest.importorskip("faiss")
    words = ["index", model, "-o", tmp_path / "i", "--kind", "faiss-flat", "--native", tmp_path / "items.faiss"]
    assert logq(*words)[0] == 0
    made, known = faiss.read_index(str(tmp_path / "items.faiss")), Recommender.load(model)
    query = known.query_vectors([known.user_ids[0]])
    expected = load_index(tmp_path / "i").search(query, 4).ids
    assert made.search(np.asarray(query).reshape(1, -1), 4)[1].tolist() == expected.tolist()


def test_rows_of_an_earlier_model_are_pointed_out(logq, tmp_path):
    pytest.importorskip("duckdb")
    for count in (6, 4):
        KeyedVectors([f"w{number}" for number in range(count)], np.eye(6)[:count]).save(tmp_path / str(count))
        code, _, err = logq("index", tmp_path / str(count), "--to", f"duckdb:{tmp_path / 'x.duckdb'}")
        assert code == 0
    assert "the table items has 2 further rows, whose ids are 4 or more" in err


def test_options_do_not_go_with_an_index_that_is_only_checked(logq, vectors, tmp_path):
    assert logq("index", vectors, "-o", tmp_path / "i")[0] == 0
    code, out, err = logq("index", vectors, "-o", tmp_path / "i", "--check", "--option", "links=64")
    assert (code, out) == (2, "")
    assert "--option: expected --kind with it, as " in err


def test_words_are_not_searched_in_an_index_of_others(logq, tmp_path):
    for number, name in enumerate(("old", "new")):
        rows = np.random.default_rng(number).normal(size=(5, 3))
        KeyedVectors(list("abcde"), rows).save(tmp_path / name)
    assert logq("index", tmp_path / "old", "-o", tmp_path / "i")[0] == 0
    code, _, err = logq("serve", tmp_path / "new", "--index", tmp_path / "i", "--port", 0)
    assert code == 2
    assert "this index was made from another model, or an earlier one; build it again" in err


@pytest.mark.parametrize(
    ("count", "words", "message"),
    [
        (
            3,
            ["--to", "duckdb::memory:"],
            "DIR: expected vectors other than zero, for cosine, got zero in row 2; --metric",
        ),
        (3, ["--check", "--recall", 0.9], "--recall: queries: expected at least 20, of which half choose, got 3"),
        (3, ["-o", "i", "--recall", 0.9], "--recall: queries: expected at least 20, of which half choose, got 3"),
        (1, ["--check", "--json", "x.json"], "--check: expected at least two words"),
    ],
)
def test_what_few_or_empty_vectors_cannot_do_is_said(logq, tmp_path, monkeypatch, count, words, message):
    pytest.importorskip("duckdb")
    monkeypatch.chdir(tmp_path)
    KeyedVectors(list("abc")[:count], np.diag([1.0, 1.0, 0.0])[:count]).save("words")
    code, out, err = logq("index", "words", *words)
    assert (code, out) == (2, "")
    assert message in err
