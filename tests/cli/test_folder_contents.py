"""A command that meets a folder of another kind says what is there, and names the command that fits."""

import shutil

import pytest

from logq.folders.folder_contents import Contents, find_contents


@pytest.fixture
def folders(model, counted, vectors, logq, tmp_path):
    """A folder of each kind, under the name of its kind."""
    assert logq("index", model, "-o", tmp_path / "index", "-q")[0] == 0
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "checkpoint.safetensors").touch()
    (tmp_path / "nothing").mkdir()
    (tmp_path / "questions.txt").write_text(": family\nman king woman queen\n")
    return {
        "recommender": model,
        "lm": counted,
        "vectors": vectors,
        "index": tmp_path / "index",
        "log": model / "log",
        "unfinished": tmp_path / "unfinished",
        "nothing": tmp_path / "nothing",
    }


COMMANDS = {
    "neighbors": ("vectors", ["{}", "king"]),
    "map": ("vectors recommender", ["{}", "-o", "{tmp}/map.html"]),
    "evaluate words": ("vectors", ["{}", "-a", "{tmp}/questions.txt"]),
    "generate": ("lm", ["{}"]),
    "evaluate lm": ("lm", ["{}", "{tmp}/questions.txt"]),
    "recommend": ("recommender", ["{}", "--user", "u1"]),
    "score": ("recommender", ["{}", "--user", "u1", "--item", "i1"]),
    "similar": ("recommender", ["{}", "i1"]),
    "index": ("vectors recommender", ["{}", "-o", "{tmp}/made"]),
    "evaluate ranking": ("recommender", ["{}"]),
    "diagnose": ("recommender", ["{}"]),
}
# What does the same as the command with what is there, where anything does; asking it something otherwise.
FITTING = {
    "neighbors": {"recommender": "similar {} ITEM", "lm": "generate {}"},
    "similar": {"vectors": "neighbors {} WORD", "lm": "generate {}"},
    "evaluate words": {"recommender": "evaluate ranking {}", "lm": "evaluate lm {} FILE"},
    "evaluate lm": {"recommender": "evaluate ranking {}", "vectors": "evaluate words {} --similarity FILE"},
    "evaluate ranking": {"lm": "evaluate lm {} FILE", "vectors": "evaluate words {} --similarity FILE"},
}
ASKING = {
    "recommender": "recommend {} --user ID",
    "lm": "generate {}",
    "vectors": "neighbors {} WORD",
    "index": "recommend MODEL --user ID --index {}",
}
CALLED = {
    "recommender": "SASRec, a recommender",
    "lm": "NGram, a language model",
    "vectors": "word vectors",
    "index": "an index of items",
    "log": "the log of a model; the model is in the folder above",
    "unfinished": "a checkpoint; the same command with --resume continues from it",
    "nothing": "none",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_that_fits_is_named(logq, folders, tmp_path, command):
    takes, words = COMMANDS[command]
    for kind, folder in folders.items():
        code, out, err = logq(*command.split(), *(word.format(folder, tmp=tmp_path) for word in words))
        if kind in takes.split():
            assert code == 0
        elif command != "diagnose" or kind != "lm":
            assert (code, out, err.count("\n")) == (2, "", 1)
            assert err.startswith(f"Error: {folder}: expected ")
            assert f", found {CALLED[kind]}" in err
            fitting = FITTING.get(command, {}).get(kind, ASKING.get(kind))
            assert ("try `" in err) == (fitting is not None)
            if fitting is not None:
                assert f"try `logq {fitting.format(folder)}`" in err
            elif kind == "nothing":
                assert "`logq train " in err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_kind_typed_before_the_model(logq, tmp_path, monkeypatch, command):
    (tmp_path / "questions.txt").write_text("a b c d\n")
    monkeypatch.chdir(tmp_path)
    _, words = COMMANDS[command]
    for kind in ("lm", "word2vec", "sasrec", "words"):
        code, _, err = logq(*command.split(), *(word.format(kind, tmp=tmp_path) for word in words))
        assert code == 2
        assert f"{kind}: there is no such " in err
        assert "the first argument is the model itself, its kind is not named" in err
    code, _, err = logq(*command.split(), *(word.format("nowhere", tmp=tmp_path) for word in words))
    assert code == 2
    assert "kind" not in err


def test_a_folder_inside_of_a_model(logq, model, tmp_path):
    shutil.copytree(model, tmp_path / "model")
    (tmp_path / "model" / "cache").mkdir()
    _, _, err = logq("recommend", tmp_path / "model" / "cache", "--user", "u1")
    assert f"found none; `logq train sasrec` makes one; {tmp_path / 'model'} has SASRec, a recommender" in err


def test_a_file_is_no_folder_of_a_recommender(logq, model):
    _, _, err = logq("recommend", model / "training.json", "--user", "u1")
    assert "training.json: expected a folder with a recommender, found a file" in err
    _, _, err = logq("recommend", model, "--user", "u1", "--index", model)
    assert f"{model}: expected an index of items, found SASRec, a recommender; `logq index MODEL -o INDEX` makes" in err


def test_vectors_beside_a_model_are_found(logq, model, vectors, tmp_path):
    """What training item2vec into the folder of word vectors leaves."""
    shutil.copytree(model, tmp_path / "both")
    shutil.copy(vectors / "vectors.safetensors", tmp_path / "both")
    assert logq("neighbors", tmp_path / "both", "king")[0] == 0
    assert logq("similar", tmp_path / "both", "i1")[0] == 0


def test_a_name_with_a_space_is_quoted(logq, vectors, tmp_path):
    vectors.rename(tmp_path / "my vectors")
    _, _, err = logq("generate", tmp_path / "my vectors")
    assert f"try `logq neighbors '{tmp_path / 'my vectors'}' WORD`" in err


def test_a_class_of_somebody_s_own_is_left_to_its_loader(monkeypatch, model):
    monkeypatch.setattr("logq.estimators.ESTIMATORS", ())
    assert find_contents(model) == Contents("", "a model")
