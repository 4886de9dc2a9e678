"""`logq generate`: lines as the library makes them."""

import json
import subprocess
import sys

import pytest

from logq.language_models import load


@pytest.mark.parametrize("kind", ["counted", "recurrent"])
def test_lines_are_the_library_s(logq, kind, request):
    folder = request.getfixturevalue(kind)
    options = ("--seed", 3, "--max-words", 7, "--temperature", 0.8, "--top-k", 4)
    code, out, err = logq("generate", folder, "the", "king", "-n", 3, *options)
    assert (code, err) == (0, "")
    model = load(folder)
    expected = [model.generate("the king", max_words=7, temperature=0.8, top_k=4, seed=seed) for seed in (3, 4, 5)]
    assert out.splitlines() == expected


def test_from_the_beginning_of_a_line(logq, counted):
    code, out, err = logq("generate", counted, "--temperature", 0)
    assert (code, err) == (0, "")
    assert out == load(counted).generate(temperature=0) + "\n"
    assert out.startswith("the ")
    assert logq("generate", counted.parent / "model.arpa", "--temperature", 0)[1] == out
    assert logq("generate", counted, "the king", "--max-words", 0)[1] == "the king\n"


def test_unknown_words_are_told(logq, counted):
    code, out, err = logq("generate", counted, "the", "Zebra", "King")
    assert code == 0
    assert out.startswith("the Zebra King")
    size = len(load(counted).vocabulary)
    assert err.splitlines() == [
        f"Note: 'Zebra' is not among the {size} words of the model and counts as <unk>.",
        f"Note: 'King' is not among the {size} words of the model and counts as <unk>; 'king' is.",
    ]


def test_bad_input(logq, counted, model, tmp_path):
    for words, message in [
        ((tmp_path / "none",), "there is no such file or folder"),
        ((model,), "found SASRec, a recommender"),
        ((counted, "--top-k", 0), "--top-k"),
        ((counted, "--temperature", "-1"), "--temperature"),
        ((counted, "-n", 0), "--lines"),
    ]:
        code, out, err = logq("generate", *words)
        assert (code, out) == (2, "")
        assert message in err


def test_an_ngram_model_answers_without_torch(counted, lines):
    code = "import sys; from logq.cli import main; print(main(sys.argv[1:]), 'torch' in sys.modules, file=sys.stderr)"
    for words in (["generate", counted], ["evaluate", "lm", counted, lines, "-q"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=True
        )
        assert done.stderr.splitlines()[-1] == "0 False"


def test_lines_are_written_as_json(logq, counted, tmp_path):
    code, out, _ = logq("generate", counted, "the", "king", "-n", 2, "--seed", 3, "--json", tmp_path / "lines.json")
    assert code == 0
    written = json.loads((tmp_path / "lines.json").read_text())
    assert written == {"model": str(counted), "prompt": "the king", "lines": out.splitlines()}
