"""The notebooks of docs/start run as programs, and cells of a real kernel show what the site and a reader then see."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted(ROOT.glob("docs/start/*.py"))

# (as it stands, what a test runs instead): numbers that take seconds.
SMALLER = {
    "words": [("epochs=15", "epochs=1")],
    "recommendations": [("epochs=30", "epochs=2")],
    "losses": [("SECONDS, BATCH = 8.0, 256", "SECONDS, BATCH = 0.4, 16")],
}


@pytest.fixture
def pages(monkeypatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "scripts" / "site"))
    import notebook_pages

    return notebook_pages


@pytest.fixture
def kernel(pages):
    """What runs a program cell by cell in a kernel of Jupyter, and returns the notebook."""
    for needed in ("ipykernel", "jupytext", "nbclient"):
        pytest.importorskip(needed, reason="the extra docs is not installed")
    return lambda program: json.loads(pages.executed(program.lstrip()).file)


def test_notebooks_are_found():
    assert {path.stem for path in NOTEBOOKS} == set(SMALLER)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_as_a_program(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    program = path.read_text(encoding="utf-8")
    for typed, instead in SMALLER[path.stem]:
        assert typed in program
        program = program.replace(typed, instead)
    exec(compile(program, str(path), "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out.count("\n") >= 4


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_text_of_a_notebook_is_markdown_with_links_that_lead_somewhere(path):
    program = path.read_text(encoding="utf-8")
    assert program.startswith("# %% [markdown]\n# # ")
    cells = re.split(r"^# %%(.*)\n", program, flags=re.M)[1:]
    for kind, cell in zip(cells[::2], cells[1::2], strict=True):
        if kind:
            assert kind == " [markdown]"
            assert all(line.startswith("#") or not line for line in cell.splitlines()), cell
    targets = re.findall(r"\]\(([^)\s]+)\)", program.replace("\n# ", " "))
    assert len(targets) >= 2
    assert not [target for target in targets if not path.parent.joinpath(target).exists()]


TRAINING = """
# %%
from logq import Word2Vec, YoutubeDNN
from logq.logs import Interactions

model = Word2Vec(dim=8, min_count=1, epochs=3, sample=0, seed=1).fit([["tea", "cup", "milk"]] * 2000, progress=True)

# %%
log = Interactions.from_sessions([["tea", "milk", "cup"], ["nail", "saw", "drill"]] * 300)
model = YoutubeDNN(dim=8, hidden=(8,), epochs=4, pretrain=0, seed=1).fit(log, progress=True)
model
"""


def test_progress_in_a_notebook_is_one_output_that_is_replaced(kernel):
    words, events = (cell["outputs"] for cell in kernel(TRAINING)["cells"])
    for outputs, label, epochs in ((words, "skip-gram", "epoch 3/3"), (events, "YoutubeDNN", "epoch 4/4")):
        lines = [output["data"] for output in outputs if output["output_type"] == "display_data"]
        shown = [line for line in lines if "".join(line["text/plain"]).startswith(f"{label}: ")]
        assert len(shown) == 1, "it is replaced, not added to"
        assert "100%" in "".join(shown[0]["text/plain"])
        assert epochs in "".join(shown[0]["text/plain"])
        assert f'<progress value="1.000" aria-label="{label}">' in "".join(shown[0]["text/html"])
        streams = "".join("".join(output["text"]) for output in outputs if output["output_type"] == "stream")
        assert not re.search(r"[\r\x1b]|100%", streams)
    assert "<polyline" in "".join(events[-1]["data"]["text/html"])


def test_progress_says_the_epoch_outside_of_notebooks_too(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "150")
    exec(compile(TRAINING, "training", "exec"), {})
    said = capsys.readouterr().err
    assert "epoch 3/3" in said
    assert "epoch 4/4" in said


FAST = """
# %%
import logq._progress as lines
with lines.Progress(10, "steps", "a <b>", True) as bar:
    for _ in range(10):
        bar.advance(1)
    bar.advance(0)
with lines.Progress(10, "steps", "brief") as bar:
    bar.advance(10)
with lines.Progress(10, "steps", "silent", False) as bar:
    bar.advance(10)
"""


def test_brief_work_leaves_no_trace_in_a_notebook(kernel):
    [cell] = kernel(FAST)["cells"]
    [output] = cell["outputs"]
    html = "".join(output["data"]["text/html"])
    assert "<b>a &lt;b&gt;</b>" in html
    assert 'aria-label="a &lt;b&gt;"' in html


PAGE = """
# %% [markdown]
# # Title
#
# Text, <x, y>.

# %%
import sys
print("1 < 2")
print("no", file=sys.stderr)

# %%
class Shown:
    def _repr_html_(self):
        return "<b>yes</b>"
Shown()

# %%
x = 1
"""


def test_a_page_has_outputs_below_cells(kernel, pages):
    ran = pages.executed(PAGE.lstrip())
    assert ran.markdown.split("\n\n")[:2] == ["# Title", "Text, <x, y>."]
    assert re.findall(r"OUTPUT\d+OUTPUT", ran.markdown) == ["OUTPUT0OUTPUT", "OUTPUT1OUTPUT"]
    assert ran.markdown.endswith("```python\nx = 1\n```\n")
    assert '<pre class="stdout">1 &lt; 2</pre>' in ran.outputs[0]
    assert '<pre class="stderr">no</pre>' in ran.outputs[0]
    assert ran.outputs[1] == '<div class="output"><div class="result"><b>yes</b></div></div>'


def test_a_cell_that_fails_ends_the_build(kernel):
    from nbclient.exceptions import CellExecutionError

    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        kernel("# %%\n1 / 0\n")


def test_kinds_of_outputs(pages):
    assert pages.output_html({"output_type": "stream", "name": "stdout", "text": "\x1b[1mx\x1b[0m\n"}) == (
        '<pre class="stdout">x</pre>'
    )
    picture = {"output_type": "display_data", "data": {"image/png": "abc\n", "text/plain": "a figure"}}
    assert pages.output_html(picture) == '<img alt="" src="data:image/png;base64,abc">'
    plain = {"output_type": "execute_result", "data": {"text/plain": "<a>"}}
    assert pages.output_html(plain) == '<pre class="result">&lt;a&gt;</pre>'
    with pytest.raises(ValueError, match="error"):
        pages.output_html({"output_type": "error"})
