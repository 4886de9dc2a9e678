"""What a shell offers when the tab key is pressed: commands, options, and the values that an option has."""

import pytest

from logq.cli import main
from logq.cli.app import app
from logq.objectives import OBJECTIVES


@pytest.fixture
def offered(monkeypatch, capsys):
    def complete(line):
        words = line.split()
        monkeypatch.setenv("_LOGQ_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words) - (not line.endswith(" "))))
        with pytest.raises(SystemExit) as stop:
            main([])
        assert stop.value.code == 0
        return capsys.readouterr().out.split()

    return complete


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("logq ", list(app.members)),
        ("logq tr", ["train"]),
        ("logq evaluate ", ["words", "lm", "ranking"]),
        ("logq demo ", ["words", "items"]),
        ("logq train word2vec corpus.txt --objective ", list(OBJECTIVES)),
        ("logq train word2vec corpus.txt --sampler l", ["log_uniform", "learned_unigram"]),
        ("logq train sasrec log.csv --objective n", ["negative_sampling", "nce"]),
        ("logq train lm corpus.txt --model ", ["ngram", "nnlm", "gru", "lstm"]),
        ("logq train item2vec log.csv --recipe ", ["item2vec", "item2vec-sets"]),
        ("logq map vectors --layout t", ["tsne"]),
        ("logq recommend model --device c", ["cpu", "cuda"]),
        ("logq neighbors vectors --js", ["--json"]),
    ],
)
def test_what_begins_so_is_offered(offered, line, expected):
    assert offered(line) == expected


def test_every_option_with_given_names_offers_them(offered):
    for name in app.members["train"].members:
        command = app.members["train"].get_command(None, name)
        for parameter in command.params:
            if parameter.name in ("objective", "sampler", "optimizer", "decay", "precision"):
                assert offered(f"logq train {name} x {parameter.opts[0]} "), f"{name}: {parameter.name}"
