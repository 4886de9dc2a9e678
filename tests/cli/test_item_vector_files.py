"""Vectors of items in files of all kinds, and new items on the command line."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from logq.cli.item_vector_files import read_item_vectors
from logq.cli.terminal.errors import BadInputError
from logq.logs import Identifiers
from logq.vectors import KeyedVectors

KEYS, VECTORS = [30, 10, 99], np.array([[1, 2], [3, 4], [5, 6]], dtype=np.float32)


def written(folder, how):
    path = folder / f"v.{how}"
    if how == "npy":
        np.save(path, VECTORS)
        (folder / "v.ids.txt").write_text("30\n10\n99\n")
    elif how == "npz":
        np.savez(path, ids=KEYS, vectors=VECTORS)
    elif how == "safetensors":
        save_file({"ids": np.array(KEYS), "vectors": VECTORS}, path)
    elif how == "parquet":
        polars = pytest.importorskip("polars")
        polars.DataFrame({"item": KEYS, "image": VECTORS.tolist()}).write_parquet(path)
    elif how == "txt":
        KeyedVectors(list(map(str, KEYS)), VECTORS).save_word2vec_format(path)
    else:
        KeyedVectors(list(map(str, KEYS)), VECTORS).save(path)
    return path


@pytest.mark.parametrize("how", ["npy", "npz", "safetensors", "parquet", "txt", "folder"])
def test_vectors_of_all_kinds_of_files(tmp_path, how):
    told = []
    path = written(tmp_path, how)
    found = read_item_vectors(path, Identifiers([10, 20, 30]), told.append)
    assert found.dense["vector"].tolist() == [[3, 4], [0, 0], [1, 2]]
    assert told == [f"{path}: has vectors for 2 of 3 in the log, left out 1 (unknown id)"]


def test_what_is_wrong_with_a_file_is_said(tmp_path):
    ids = Identifiers([10, 20, 30])
    path = written(tmp_path, "npy")
    (tmp_path / "v.ids.txt").write_text("x\ny\nz\n")
    with pytest.raises(BadInputError, match="expected integers as ids, as the log has"):
        read_item_vectors(path, ids)
    (tmp_path / "v.ids.txt").unlink()
    with pytest.raises(BadInputError, match=r"expected the ids of its rows, one per line, in v.ids.txt or v.ids.npy"):
        read_item_vectors(path, ids)
    np.savez(tmp_path / "w.npz", ids=[1], rows=[[1.0]])
    with pytest.raises(BadInputError, match="expected arrays called ids and vectors, found ids, rows"):
        read_item_vectors(tmp_path / "w.npz", ids)
    with pytest.raises(
        BadInputError, match=r"v\.txt: expected some ids of the log, got none in 3 rows, whose first is of 30"
    ):
        read_item_vectors(written(tmp_path, "txt"), Identifiers([1, 2]))
    with pytest.raises(BadInputError, match=r"missing\.npy"):
        read_item_vectors(tmp_path / "missing.npy", ids)
    assert read_item_vectors(None, ids) is None


def test_a_cold_item_of_a_known_genre_is_recommended_from_the_command_line(logq, tmp_path):
    rng = np.random.default_rng(0)
    rows = [(f"u{u}", 100 * (u % 2) + int(i)) for u in range(60) for i in rng.permutation(8)[:6]]
    log, items, new = tmp_path / "log.csv", tmp_path / "items.csv", tmp_path / "new.csv"
    log.write_text("user,item\n" + "".join(f"{user},{item}\n" for user, item in rows))
    every = [(i + 100 * g, "tea" if g else "saw", 10 * g + i % 2) for g in range(2) for i in range(8)]
    items.write_text("item,title,kind,price\n" + "".join(f"{i},Item {i},{kind},{price}\n" for i, kind, price in every))
    new.write_text("item,title,kind,price\n900,Green,tea,10\n901,Steel,saw,1\n3,Known,saw,1\n")
    np.save(tmp_path / "look.npy", np.array([[1.0, 0.1 * i] if i < 100 else [0.1 * i, 1.0] for i, _, _ in every]))
    (tmp_path / "look.ids.txt").write_text("\n".join(str(i) for i, _, _ in every))
    model = tmp_path / "model"
    options = ["--dim", 8, "--epochs", 15, "--lr", 0.02, "--seed", 1, "--num-sampled", 8, "--validation", "none"]
    content = ["--content", "sum", "--id-dropout", 0.3, "--numeric", "price", "--hidden", 8]
    files = ["--item-features", items, "--item-vectors", tmp_path / "look.npy"]
    code, out, err = logq("train", "youtube-dnn", log, "-o", model, *options, *content, *files)
    assert code == 0, err
    assert "features of items: kind, price, vector" in out
    code, out, err = logq(
        "recommend", model, "--user", "u1", "--user", "u0", "-k", 3, "--new-items", new, "--keep-seen"
    )
    assert code == 0, err
    assert f"{new}: 1 of 3 items are in the log already" in " ".join(err.split())
    answers = [line.split("\t") for line in out.splitlines()]
    kinds = {"u1": {str(i) for i in range(100, 108)} | {"900"}, "u0": {str(i) for i in range(8)} | {"901"}}
    assert all(item in kinds[user] for user, item, *_ in answers)
    where = tmp_path / "index"
    assert logq("index", model, "-o", where)[0] == 0
    asked = ["recommend", model, "--history", 900, "-k", 5, "--new-items", new]
    code, out, err = logq(*asked, "--index", where)
    assert code == 0, err
    assert {int(line.split("\t")[1]) for line in out.splitlines()} < set(range(100, 108))
    code, out, err = logq("recommend", model, "--history", 101, "-k", 9, "--index", where, "--new-items", new)
    assert code == 0, err
    assert ["900", "Green"] in [line.split("\t")[1::2] for line in out.splitlines()]
    code, out, err = logq("similar", model, 900, "-k", 3, "--new-items", new)
    assert code == 0, err
    assert {int(line.split("\t")[1]) // 100 for line in out.splitlines()} == {1}


def test_new_items_need_a_model_that_learned_from_features(logq, ratings, tmp_path):
    model, new = tmp_path / "model", tmp_path / "new.csv"
    assert logq("train", "sasrec", ratings, "-o", model, "--dim", 8, "--epochs", 1, "--seed", 1)[0] == 0
    new.write_text("item,kind\nx99,tea\n")
    code, _, err = logq("recommend", model, "--history", "x99", "--new-items", new)
    assert code == 2
    assert "SASRec learns nothing from side information of items" in " ".join(err.split())
