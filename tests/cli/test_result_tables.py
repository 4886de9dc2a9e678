import io
import re
import sys

import pytest
import torch
from rich.console import Console

from logq.cli import main
from logq.cli.terminal import result_tables
from logq.cli.terminal.gradient_table import print_table
from logq.cli.terminal.result_tables import ResultTable, show_items, show_nearest, show_neighbors
from logq.diagnostics import gradient_error
from logq.samplers import Uniform
from logq.vectors import KeyedVectors

WIDTHS = [20, 30, 40, 52, 60, 72, 80, 100, 200]
LONG = ["statistics.StatisticsError", "urllib.parse.urlunparse", ".setblocking", "x" * 70]


@pytest.fixture(params=WIDTHS)
def width(request, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(request.param))
    return request.param


def lines(out, width):
    found = re.sub(r"\x1b\[[\d;]*m", "", out).splitlines()
    assert max(map(len, map(str.rstrip, found))) <= width
    assert "\N{HORIZONTAL ELLIPSIS}" not in out
    return found


def numbers(found):
    return re.findall(r"(?<![\w.])[\d,]+\.\d+(?![\w.])", "\n".join(found))


@pytest.mark.parametrize("name", LONG)
def test_a_table_of_results_cuts_no_number(capsys, width, name):
    table = ResultTable("sampler", "k", "error", "bias")
    values = ("4,096.5", "0.4496 \N{PLUS-MINUS SIGN}0.0123", "0.1515 \N{PLUS-MINUS SIGN}0.0003")
    table.add(name, *values)
    table.show()
    out = lines(capsys.readouterr().out, max(width, 33))
    assert numbers(out) == ["4,096.5", "0.4496", "0.0123", "0.1515", "0.0003"]
    assert all(any(value in line for line in out) for value in values), "a number and its spread stay together"


def test_neighbors_side_by_side_cut_no_number(capsys, width):
    answers = [(name, 0.987 - 0.1 * place) for place, name in enumerate(LONG)]
    show_neighbors([("socket.socket", answers), ("math.sqrt", answers[:3]), ("threading.Thread", answers[1:])])
    out = lines(capsys.readouterr().out, width)
    assert sorted(numbers(out)) == sorted(f"{cosine:.2f}" for _, cosine in [*answers, *answers[:3], *answers[1:]])
    joined = "".join("".join(out).split())
    if width >= 100:
        assert joined.count(LONG[0]) == 2


def test_the_answer_to_one_question_cuts_no_number(capsys, width):
    answers = [(name, 0.9876 - 0.1 * place) for place, name in enumerate(LONG)]
    show_nearest("socket.socket", answers, dict.fromkeys(LONG, 1_234_567))
    out = lines(capsys.readouterr().out, max(width, 24))
    assert numbers(out) == [f"{cosine:.3f}" for _, cosine in answers]
    assert "\n".join(out).count("1,234,567") == 4


def test_items_with_titles_cut_no_number(capsys, width):
    title = "A title of several words, number"
    for why in ("", "what was seen before, and more"):
        answers = [(name, f"{title} {place}", 5.5 + place, why) for place, name in enumerate(LONG)]
        show_items("user 5", answers, "score")
        shown = lines(capsys.readouterr().out, width)
        assert numbers(shown) == [f"{score:.3f}" for _, _, score, _ in answers]


@pytest.mark.parametrize(("width", "blocks"), [(100, 1), (80, 1), (60, 2), (44, 3)])
def test_gradient_errors_cut_no_number(capsys, monkeypatch, width, blocks):
    monkeypatch.setenv("COLUMNS", str(width))
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(5000, 4, generator=generator)
    samplers = {"log_uniform": lambda k: Uniform(5000, k, seed=1)}
    errors = gradient_error(weight[:3], weight, samplers, (16, 4096), repeats=4)
    print_table(errors)
    out = lines(capsys.readouterr().out, width)
    assert len(numbers(out)) == 2 * 7
    assert [sum(word in line for line in out) for word in ("log_uniform", " 4,096 ")] == [blocks, blocks]


def test_a_terminal_of_80_columns_shows_neighbors_whole(tmp_path, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    words = [*LONG, "socket.socket", "subprocess.Popen"]
    rows = [[1.0, 0.1 * place] for place in range(len(words))]
    KeyedVectors(words, rows, counts=[5] * len(words)).save(tmp_path / "v")
    monkeypatch.setenv("COLUMNS", "80")
    for asked in (words[-1:], words[-2:], words):
        monkeypatch.setattr(sys, "stdout", Terminal())
        assert main(["neighbors", str(tmp_path / "v"), *asked]) == 0
        found = numbers(lines(sys.stdout.getvalue(), 80))
        assert len(found) == len(asked) * (len(words) - 1)


def test_no_heading_is_shown_where_there_is_none(capsys):
    table = ResultTable("", "")
    table.add("tokens", "1,024")
    table.show(Console(width=40))
    assert capsys.readouterr().out.split() == ["tokens", "1,024"]
    assert result_tables.__all__
