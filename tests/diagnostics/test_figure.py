import itertools
import sys
from pathlib import Path

import pytest
import torch

from logq.diagnostics import error_figure, gradient_error, plot
from logq.diagnostics.error_figure import spread
from logq.samplers import EveryClass, Uniform

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def errors():
    generator = torch.Generator().manual_seed(1)
    inputs, weight = (torch.randn(n, 4, generator=generator) for n in (8, 60))
    samplers = {"uniform": Uniform(60, 1), "distinct": Uniform(60, 1, replacement=False), "all": EveryClass(60)}
    return gradient_error(inputs, weight, samplers, (4, 16, 60), repeats=8)


@pytest.mark.parametrize(("ending", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_files_of_all_kinds_twice_the_same(errors, tmp_path, ending, begins):
    one, other = (tmp_path / f"{name}.{ending}" for name in ("one", "other"))
    before = dict(matplotlib.rcParams)
    plot(errors, one, error=0.3)
    plot(errors, str(other), error=0.3)
    assert one.read_bytes() == other.read_bytes()
    assert one.read_bytes().startswith(begins)
    assert dict(matplotlib.rcParams) == before


def test_each_sampler_has_its_name_and_what_it_needs(errors, tmp_path):
    plot(errors, tmp_path / "errors.svg", error=0.3)
    text = (tmp_path / "errors.svg").read_text()
    for name in errors.samplers:
        assert f"{name}: k {errors.num_sampled_for(0.3, name)}" in text
    assert "target: 0.3" in text
    plot(errors, tmp_path / "errors.svg")
    text = (tmp_path / "errors.svg").read_text()
    assert ">uniform<" in text
    assert "wanted" not in text


def test_no_state_of_pyplot_is_touched():
    assert "pyplot" not in Path(error_figure.__file__).read_text(encoding="utf-8")


def test_labels_keep_their_distance_and_their_place():
    assert spread([0.0, 10.0], 1.0) == [0.0, 10.0]
    assert spread([0.0, 0.2, 0.4, 9.0], 1.0) == pytest.approx([-0.8, 0.2, 1.2, 9.0])
    # One group that pushes into the next takes it along.
    found = spread([0.0, 0.1, 1.1], 1.0)
    assert [b - a for a, b in itertools.pairwise(found)] == pytest.approx([1.0, 1.0])


def test_a_file_of_another_kind(errors, tmp_path):
    with pytest.raises(
        ValueError, match=r"path: expected a name that ends in \.png, \.svg or \.pdf, got .*errors\.gif"
    ):
        plot(errors, tmp_path / "errors.gif")
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_the_message_says_what_to_install(errors, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'logq\[plot\]'"):
        plot(errors, tmp_path / "errors.png")
