"""What the page on moving here shows of logq runs as it stands there, and names what there is."""

import inspect
import re
from pathlib import Path

import pytest

from logq import KeyedVectors, Word2Vec
from logq.compat import chainer, cs224n, keras, tensorflow
from logq.text import Phrases

PAGE = (Path(__file__).parents[1] / "docs" / "migration.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, flags=re.DOTALL | re.MULTILINE))


@pytest.mark.parametrize("section", SECTIONS)
def test_snippets_run_in_their_order(section, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", SECTIONS[section], flags=re.DOTALL)
    assert blocks
    names: dict[str, object] = {}
    exec("import torch", names)  # which stands in the first section
    for block in blocks:
        exec(compile(block, f"{section} of docs/migration.md", "exec"), names)


@pytest.mark.parametrize(
    ("section", "module"), [("TensorFlow", tensorflow), ("Chainer", chainer), ("Keras", keras), ("CS224n", cs224n)]
)
def test_every_old_name_is_told_of(section, module):
    trivial = {"getNegativeSamples", "normalizeRows", "sigmoid", "skipgram", "softmax"}
    results = {"AccidentalHits", "SampledValues"}
    names = set(module.__all__) - trivial - results
    assert not [name for name in names if not re.search(rf"\b{name}\b", SECTIONS[section])]


def test_every_argument_of_tensorflow_is_told_of():
    functions = [getattr(tensorflow, name) for name in tensorflow.__all__ if name[0].islower()]
    arguments = {argument for function in functions for argument in inspect.signature(function).parameters}
    first_cells = "\n".join(line.split(" | ")[0] for line in SECTIONS["TensorFlow"].splitlines() if line[:1] == "|")
    told = {*re.findall(r"\w+", first_cells), "name", "sampled_candidates", "unigrams"}
    assert arguments - told == {"sparse", "state"}  # which TensorFlow does not have


def test_names_that_stayed_the_same_are_there():
    section = SECTIONS["gensim"]
    row = next(line for line in section.splitlines() if "`most_similar_cosmul`" in line)
    vectors = KeyedVectors(["a", "b"], [[1.0, 0.0], [0.0, 1.0]])
    assert not [name for name in re.findall(r"`(\w+)", row) if not hasattr(vectors, name)]
    row = next(line for line in section.splitlines() if line.startswith("| `hs`"))
    assert set(re.findall(r"`(\w+)`", row)) <= set(inspect.signature(Word2Vec).parameters)
    row = next(line for line in section.splitlines() if line.startswith("| `min_count`, `threshold`"))
    assert set(re.findall(r"`(\w+)`", row)) <= set(inspect.signature(Phrases).parameters)
