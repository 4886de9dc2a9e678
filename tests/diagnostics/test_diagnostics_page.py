"""The page about diagnostics shows numbers that its own program prints, and its figure is of its own script."""

import re
from pathlib import Path

import pytest
import torch

from enumerated_estimates import unordered
from logq.candidates import Candidates
from logq.objectives import SAMPLED_SOFTMAX

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "diagnostics.md").read_text(encoding="utf-8")


def rows(text):
    return [
        line.split() for line in text.splitlines() if line.split()[:1] and line.split()[0] in ("uniform", "unigram")
    ]


def test_the_table_is_what_the_program_prints(capsys):
    exec(re.search(r"```python\n(.*?)```", PAGE, re.S)[1], {})
    printed, shown = rows(capsys.readouterr().out), rows(PAGE.partition("```\n\n")[2])
    assert len(printed) == len(shown) == 8
    for one, other in zip(printed, shown, strict=True):
        assert one[:2] == other[:2]
        # Other processors round otherwise; a bias near 0 is the root of what is left over.
        assert float(one[2]) == pytest.approx(float(other[2]), abs=0.002)
        assert float(one[4]) == pytest.approx(float(other[4]), abs=0.002)


def test_the_figure_is_small_and_has_all_samplers():
    figure = ROOT / "docs" / "diagnostics.svg"
    assert figure.stat().st_size < 60_000
    script = (ROOT / "scripts" / "gradient_errors.py").read_text(encoding="utf-8")
    names = re.findall(r'"(uni[^"]*)":', script)
    assert len(names) == 4
    assert all(f"{name}: k " in figure.read_text(encoding="utf-8") for name in names)


def test_the_bias_of_sampled_softmax_with_replacement_grows_as_the_page_says():
    """By enumeration: all true classes, all samples of k draws."""
    shown = {
        name: [float(number) for number in re.search(rf"^    {re.escape(name)} +([\d. ]+)$", PAGE, re.M)[1].split()]
        for name in ("k", "hits removed", "remove_hits=False")
    }
    p = torch.tensor([0.45, 0.30, 0.15, 0.10], dtype=torch.float64)
    q = torch.tensor([0.4, 0.2, 0.1, 0.3], dtype=torch.float64)
    for k, removed, kept in zip(*shown.values(), strict=True):
        samples = list(unordered(q.numpy(), int(k)))
        ids, log_q = torch.tensor([sample for sample, _ in samples]), (k * q).log()
        probability = torch.tensor([p for _, p in samples], dtype=torch.float64)
        for wanted, remove_hits in ((removed, True), (kept, False)):
            logits = p.log().requires_grad_()
            loss = torch.zeros((), dtype=torch.float64)
            for true in range(4):
                targets = torch.full((len(ids),), true)
                candidates = Candidates(ids, log_q[ids], targets, log_q[targets])
                losses = SAMPLED_SOFTMAX(logits[targets], logits[ids], candidates, remove_hits=remove_hits)
                loss = loss + p[true] * (probability * losses).sum()
            (gradient,) = torch.autograd.grad(loss, logits)
            assert float(gradient.abs().max()) == pytest.approx(wanted, abs=0.0006)
