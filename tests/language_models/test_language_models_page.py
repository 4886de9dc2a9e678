"""What the page about language models shows of neural ones, and of commands, runs as it stands there."""

import re
import shlex
from pathlib import Path

import pytest

from logq.cli.app import app
from logq.cli.terminal.help import CommandGroup
from logq.language_models import NeuralLMConfig

PAGE = (Path(__file__).parents[2] / "docs" / "language-models.md").read_text(encoding="utf-8")
NEURAL, COMMANDS = PAGE.split("\n## Neural models")[1].split("\n## On the command line")


def test_programs_run_and_print_as_many_lines_as_shown(tmp_path, monkeypatch, capsys):
    pytest.importorskip("pydoc_data.topics")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)[0], names)
    for name in ("train", "valid", "test"):  # all of it takes minutes
        lines = Path(f"{name}.txt").read_text().splitlines(keepends=True)
        Path(f"{name}.txt").write_text("".join(lines[:60]))
    programs = re.findall(r"```python\n(.*?)```\n\n((?:    [^\n]*\n)+)", NEURAL, flags=re.DOTALL)
    assert len(programs) == NEURAL.count("```python") == 3
    for program, shown in programs:
        capsys.readouterr()
        exec(re.sub(r"epochs=\d", "epochs=1", program), names)
        assert len(capsys.readouterr().out.splitlines()) == len(shown.splitlines())


def test_objectives_of_the_page_are_those_of_the_models():
    named = {
        name for row in re.findall(r"^\| (`[^|]*) \|", NEURAL, flags=re.MULTILINE) for name in row.split("`")[1::2]
    }
    named = named - {"NNLM", "RecurrentLM", "objective"}
    assert named == set(NeuralLMConfig.options()["objective"].choices)


@pytest.mark.parametrize("line", re.findall(r"^    \$ logq (.*)$", COMMANDS, flags=re.MULTILINE))
def test_commands_of_the_page_are_understood(line):
    command, words = app, shlex.split(line)
    while isinstance(command, CommandGroup):
        command = command.get_command(None, words.pop(0))
    assert command.make_context("logq", words)
