"""`logq evaluate lm`: the library's numbers, as lines, as a table and as JSON, of folders and ARPA files."""

import json
import math

import pytest

from logq.language_models import load


def table(out):
    """{file: {measure: value}} of lines."""
    found = {}
    for line in out.splitlines():
        file, measure, value = line.split("\t")
        found.setdefault(file, {})[measure] = float(value)
    return found


@pytest.mark.parametrize("kind", ["counted", "recurrent"])
def test_lines_are_the_library_s(logq, lines, kind, request):
    folder = request.getfixturevalue(kind)
    code, out, err = logq("evaluate", "lm", folder, lines, "-q")
    assert (code, err) == (0, "")
    found, expected = table(out)[str(lines)], load(folder).evaluate(lines, progress=False)
    assert list(table(out)) == [str(lines)]
    for measure, value in found.items():
        assert value == pytest.approx(getattr(expected, measure), rel=1e-9), measure
    assert {"perplexity", "bits", "num_tokens", "num_unknown", "perplexity_without_unknown"} <= set(found)
    assert found["bits"] == pytest.approx(math.log2(found["perplexity"]), rel=1e-8)


def test_an_arpa_file_is_the_model(logq, lines, counted):
    ours = table(logq("evaluate", "lm", counted, lines, "-q")[1])[str(lines)]
    code, out, err = logq("evaluate", "lm", counted.parent / "model.arpa", lines, "-q")
    assert code == 0, err
    assert table(out)[str(lines)]["perplexity"] == pytest.approx(ours["perplexity"], rel=1e-5)


def test_several_texts_and_all_of_them(logq, lines, counted, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("the king saw the zebra\nzebra zebra\n")
    output = tmp_path / "scores.json"
    code, out, err = logq("evaluate", "lm", counted / "model.safetensors", lines, other, "--json", output)
    assert code == 0
    found = table(out)
    assert list(found) == [str(lines), str(other), "all"]
    for measure in ("num_tokens", "num_unknown", "log_prob"):
        assert found["all"][measure] == pytest.approx(found[str(lines)][measure] + found[str(other)][measure])
    assert found[str(other)]["num_unknown"] == 3
    assert "33% of the tokens are unknown words" in err
    scores = json.loads(output.read_text())
    assert [one["file"] for one in scores["files"]] == [str(lines), str(other)]
    assert scores["all"]["perplexity"] == pytest.approx(found["all"]["perplexity"])
    assert (scores["class"], scores["words"]) == ("NGram", len(load(counted).vocabulary))


def test_a_table_for_people(logq, lines, counted, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    code, out, _ = logq("evaluate", "lm", counted, lines, "-q")
    assert code == 0
    assert "perplexity" in out
    assert "without <unk>" in out
    assert f"{load(counted).perplexity(lines, progress=False):.2f}" in out


def test_what_is_impossible_is_told(logq, lines, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("queen king\n")
    model = ("train", "lm", lines, "-o", tmp_path / "m", "--smoothing", "maximum_likelihood", "--order", 2, "-q")
    assert logq(*model)[0] == 0
    code, out, err = logq("evaluate", "lm", tmp_path / "m", other, "--json", tmp_path / "s.json")
    assert code == 0
    assert table(out)[str(other)]["perplexity"] == math.inf
    assert "are impossible under this model" in err
    assert json.loads((tmp_path / "s.json").read_text())["all"]["perplexity"] is None


def test_bad_input(logq, lines, counted, model, vectors, tmp_path):
    def fails(*words):
        code, out, err = logq("evaluate", "lm", *words)
        assert (code, out) == (2, "")
        assert len(err.splitlines()) == 1
        return err

    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "broken.arpa").write_text("\\data\\\nngram 1=2\n\n\\1-grams:\n-1\ta\n")
    assert "there is no such file or folder" in fails(tmp_path / "none", lines)
    assert "there is no such file" in fails(counted, tmp_path / "none.txt")
    assert "found word vectors; try `logq evaluate words " in fails(vectors, lines)
    assert "found SASRec, a recommender; try `logq evaluate ranking " in fails(model, lines)
    assert "expected a language model in this folder, found none; `logq train lm` makes one" in fails(tmp_path, lines)
    assert (
        fails(counted, tmp_path / "empty.txt")
        == f"Error: {tmp_path / 'empty.txt'}: expected at least one word, got none\n"
    )
    assert "broken.arpa" in fails(tmp_path / "broken.arpa", lines)
    assert str(lines) in fails(lines, lines), "a text is no ARPA file"
    assert "can't be written" in fails(counted, lines, "--json", tmp_path / "no" / "s.json")
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "model.safetensors").write_bytes((counted / "model.safetensors").read_bytes()[:-9])
    assert "damaged" in fails(damaged, lines)


def test_texts_in_another_encoding_are_trained_on_and_evaluated(logq, tmp_path):
    text, model = tmp_path / "text.txt", tmp_path / "model"
    text.write_bytes(("кот сидел на ковре\n" * 20).encode("koi8-r"))
    options = ("--smoothing", "add_k", "-o", model, "-q")
    code, _, err = logq("train", "lm", text, *options)
    assert (code, err.splitlines()[0]) == (
        2,
        f"Error: {text}: expected UTF-8 text, more than a tenth of it is not; "
        "if it is text, convert it (iconv -f NAME -t UTF-8) or give --encoding",
    )
    assert logq("train", "lm", text, "--valid", text, "--encoding", "koi8-r", *options) == (0, "", "")
    assert "кот" in load(model).vocabulary
    code, out, err = logq("evaluate", "lm", model, text, "--encoding", "koi8-r", "-q")
    assert (code, err, table(out)[str(text)]["num_unknown"]) == (0, "", 0)
    code, _, err = logq("evaluate", "lm", model, text, "--encoding", "koi9")
    assert (code, err.partition(",")[0]) == (2, "Error: --encoding: expected an encoding that Python knows")


@pytest.mark.filterwarnings("always")
def test_bytes_that_are_not_text_are_said_by_all_that_read_text(logq, lines, counted, tmp_path):
    odd = tmp_path / "odd.txt"
    odd.write_bytes(lines.read_bytes() + b"caf\xe9 tea\n" * 3)
    told = "Note: 3 lines of the text have bytes that are not UTF-8, read as \ufffd; give --encoding if it has another"
    for words in (("evaluate", "lm", counted, odd), ("train", "lm", odd, "--smoothing", "add_k", "-o", tmp_path / "m")):
        code, _, err = logq(*words)
        assert code == 0
        assert told in err.splitlines()
        assert logq(*words, "-q")[2] == ""
