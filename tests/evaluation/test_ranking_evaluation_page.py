"""The page about rankings shows numbers that its own program prints."""

import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "ranking-evaluation.md").read_text(encoding="utf-8")


def test_the_table_of_sampled_metrics_is_what_the_program_prints(capsys):
    program = re.search(r"```python\n(import numpy as np\nfrom logq.evaluation.ranking_metrics.*?)```", PAGE, re.S)
    exec(program[1], {})
    printed = capsys.readouterr().out.splitlines()
    shown = [line[4:] for line in PAGE.splitlines() if re.match(r"    [ABC]: ", line)]
    assert len(printed) == 3
    assert [line.split() for line in printed] == [line.split() for line in shown]


def test_metrics_of_the_page_are_those_that_are_measured():
    from logq.evaluation import evaluate_ranking

    scores = evaluate_ranking([[0]], ([0], [0, 1]), ks=[1], item_counts=[1], item_vectors=[[1.0]])
    assert {name.partition("@")[0] for name in scores.values} == set(re.findall(r"`(\w+)@k`", PAGE))
