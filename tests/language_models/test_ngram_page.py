"""What the page about language models shows runs as it stands there."""

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "language-models.md").read_text(encoding="utf-8")


def test_programs_run_and_print_as_many_lines_as_shown(tmp_path, monkeypatch, capsys):
    pytest.importorskip("pydoc_data.topics")
    monkeypatch.chdir(tmp_path)
    ngram = PAGE.split("\n## The Penn Treebank")[0]
    programs = re.findall(r"```python\n(.*?)```\n((?:\n(?:    [^\n]*\n)+)?)", ngram, flags=re.DOTALL)
    assert len(programs) == 5
    names: dict[str, object] = {}
    printed = []
    for program, shown in programs:
        exec(program, names)
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == len(shown.split("\n\n")[0].strip("\n").splitlines())
        printed.append(lines)
    fitted, smoothed, asked, again = (lines for lines in printed if lines)
    assert re.match(r"perplexity \d+\.\d\d over [\d,]+ tokens", fitted[0])
    assert smoothed[0].startswith("maximum_likelihood: inf")
    add_k, kneser_ney = (float(line.split(": ")[1].split(",")[0]) for line in smoothed[1:])
    assert kneser_ney < add_k
    assert [line.split()[0] for line in asked[1:7]] == ["this", "is", "a", "<unk>", ".", "</s>"]
    assert asked[-1].startswith("the value of ")
    assert again[0] == re.match(r"perplexity (\S+)", fitted[0])[1]


def test_options_of_the_page_are_those_of_the_model():
    from logq.language_models import NGram

    for smoothing in re.findall(r'^\| `"(\w+)"` \|', PAGE, flags=re.MULTILINE):
        assert NGram(smoothing=smoothing).smoothing == smoothing
