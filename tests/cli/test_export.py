import json

import numpy as np

from logq.vectors import KeyedVectors


def test_words_become_a_model_of_sentence_transformers(logq, vectors, tmp_path):
    code, out, err = logq("export", vectors, "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == f"KeyedVectors as static-embedding in {tmp_path / 'out'}:"
    assert "  tokenizer.json  " in out
    assert f"SentenceTransformer({tmp_path / 'out'})" in out
    assert logq("export", vectors, "-o", tmp_path / "out", "-q") == (0, "", "")


def test_a_recommender_takes_its_titles_along(logq, model, tmp_path):
    code, _, err = logq("export", model, "-o", tmp_path / "out", "--format", "arrays")
    assert (code, err) == (0, "")
    titles = json.loads((tmp_path / "out" / "titles.json").read_text())
    ids = json.loads((tmp_path / "out" / "item_ids.json").read_text())
    assert titles[ids.index("i7")] == "Item number 7"
    assert len(np.load(tmp_path / "out" / "items.npy")) == len(ids)


def test_mistakes_are_one_line(logq, vectors, tmp_path):
    assert logq("export", vectors, "-o", tmp_path / "out", "--format", "onnx") == (
        2,
        "",
        "Error: --format: expected one of those that KeyedVectors has: static-embedding, arrays, projector, word2vec, "
        "word2vec-binary, fasttext, got onnx\n",
    )
    code, _, err = logq("export", vectors, "-o", tmp_path / "out", "--format", "pickle")
    assert (code, err.partition(",")[0]) == (2, "Error: --format: expected one of onnx")
    code, _, err = logq("export", vectors, "-o", vectors)
    assert (code, err) == (
        2,
        f"Error: --output: expected an empty folder, or one with an earlier export, got {str(vectors)!r}\n",
    )
    code, _, err = logq("export", tmp_path / "nothing", "-o", tmp_path / "out")
    assert (code, "No such file" in err) == (2, True)
    assert not (tmp_path / "out").exists()


def test_words_that_a_format_cannot_hold_are_named_by_the_model(logq, tmp_path):
    KeyedVectors(["new york"], np.ones((1, 2), np.float32)).save(tmp_path / "words")
    code, _, err = logq("export", tmp_path / "words", "-o", tmp_path / "out", "--format", "word2vec")
    assert (code, err.startswith("Error: MODEL: words: expected words without white space")) == (2, True)
