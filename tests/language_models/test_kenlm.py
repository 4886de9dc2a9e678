"""Kneser-Ney, held to the numbers that lmplz and query of KenLM gave for a text."""

import json
from pathlib import Path

import numpy as np
import pytest

from logq.language_models import NGram

GOLDEN = Path(__file__).parents[1] / "golden"
LINES = [line.split() for line in (GOLDEN / "kenlm_text.txt").read_text().splitlines()]


def entries(path):
    """The numbers of an ARPA file by n-gram: log10 P and log10 of the weight; read here, not by our reader."""
    found = {}
    for line in path.read_text().splitlines():
        if "\t" in line:
            log_prob, words, *weight = line.split("\t")
            found[words] = (float(log_prob), float(weight[0]) if weight else 0.0)
    return found


@pytest.mark.parametrize(
    ("name", "lines", "order", "fallback"),
    [
        ("kenlm_order3.arpa", LINES, 3, None),
        ("kenlm_order5.arpa", [*LINES[:12], LINES[-1]], 5, (0.5, 1.0, 1.5)),
    ],
)
def test_estimates_are_those_of_lmplz(name, lines, order, fallback, tmp_path):
    NGram(order, discount_fallback=fallback).fit(lines, progress=False).to_arpa(tmp_path / "own.arpa", progress=False)
    own, theirs = entries(tmp_path / "own.arpa"), entries(GOLDEN / name)
    assert own.keys() == theirs.keys()
    # <s> is not predicted: lmplz writes 0 and we, as SRILM, -99.
    assert (own["<s>"][0], theirs["<s>"][0]) == (-99, 0)
    own["<s>"], theirs["<s>"] = (0.0, own["<s>"][1]), (0.0, theirs["<s>"][1])
    np.testing.assert_allclose(list(own.values()), [theirs[words] for words in own], atol=2e-6)


def test_scores_are_those_of_query():
    model = NGram.from_arpa(GOLDEN / "kenlm_order3.arpa", progress=False)
    fitted = NGram(3).fit(LINES, progress=False)
    for line, log10 in json.loads((GOLDEN / "kenlm_query.json").read_text()).items():
        assert model.score(line) / np.log(10) == pytest.approx(log10, abs=1e-5)
        assert fitted.score(line) / np.log(10) == pytest.approx(log10, abs=1e-5)
