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


def test_completion_is_installed_for_the_shell(monkeypatch, logq):
    made = []
    monkeypatch.setattr("typer.completion._get_shell_name", lambda: "zsh")
    monkeypatch.setattr(
        "typer.completion.install", lambda **options: (made.append(options), ("zsh", "/home/ann/.zfunc/_logq"))[1]
    )
    line = "Completion for zsh is in /home/ann/.zfunc/_logq; it works in the next shell that you open.\n"
    assert logq("--install-completion") == (0, line, "")
    assert made == [{"shell": "zsh", "prog_name": "logq", "complete_var": "_LOGQ_COMPLETE"}]


@pytest.mark.parametrize(("shell", "said"), [("/usr/bin/tcsh", "tcsh"), ("", "no shell")])
def test_a_shell_without_completion_is_named(monkeypatch, logq, shell, said):
    monkeypatch.setattr("typer.completion._get_shell_name", lambda: None)
    monkeypatch.setenv("SHELL", shell)
    line = f"Error: completion: expected bash, zsh, fish or PowerShell, found {said}\n"
    assert logq("--show-completion") == (2, "", line)
