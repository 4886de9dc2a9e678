"""Pages made of notebooks: programs in docs/start whose cells are marked by `# %%`, as jupytext and editors know them.

The repository has them without outputs. `make docs` runs each in a kernel of Jupyter, in an empty folder, and shows
what its cells returned below them; the notebook with its outputs is a file of the site. A cell that fails ends the
build.
"""

import re
import tempfile
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

__all__ = ["ExecutedNotebook", "executed", "notebook_of", "page_of_cells"]

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class ExecutedNotebook:
    """A notebook that has run: as a file, and as Markdown with a place for each output, which is HTML."""

    file: str
    markdown: str
    outputs: tuple[str, ...]


def notebook_of(program: str) -> Any:
    """The cells of a program, without outputs."""
    import jupytext
    from nbformat.v4 import new_notebook

    read = jupytext.reads(program, fmt="py:percent")
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    made = new_notebook(cells=read.cells, metadata={"kernelspec": kernel})
    for number, cell in enumerate(made.cells):
        cell["id"] = f"cell-{number}"  # the same each time, instead of a random one
    return made


@cache
def executed(program: str) -> ExecutedNotebook:
    """Run a program cell by cell.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    import nbformat
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient

    notebook = notebook_of(program)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder, "work")
        work.mkdir()
        kernel = AsyncKernelManager(
            kernel_name="python3",
            transport="ipc",  # no port is opened
            connection_file=str(Path(folder, "kernel.json")),  # and sockets lie beside it
        )
        client = NotebookClient(notebook, km=kernel, timeout=600, resources={"metadata": {"path": str(work)}})
        client.execute(cleanup_kc=True)
    for cell in notebook.cells:
        cell["metadata"].pop("execution", None)  # when it ran
    return ExecutedNotebook(nbformat.writes(notebook), *page_of_cells(notebook.cells))


def page_of_cells(cells: list[Any]) -> tuple[str, tuple[str, ...]]:
    """Cells as Markdown, in which `OUTPUT0` and so on stand for outputs, and the outputs as HTML."""
    parts: list[str] = []
    outputs: list[str] = []
    for cell in cells:
        if cell["cell_type"] == "markdown":
            parts.append(cell["source"])
            continue
        parts.append(f"```python\n{cell['source']}\n```")
        shown = "\n".join(filter(None, map(output_html, cell.get("outputs", ()))))
        if shown:
            parts.append(f"OUTPUT{len(outputs)}OUTPUT")
            outputs.append(f'<div class="output">{shown}</div>')
    return "\n\n".join(parts) + "\n", tuple(outputs)


def output_html(output: Any) -> str:
    """One output of a cell: HTML or a picture if it has one, else its text.

    Raises:
        ValueError: it is of another kind; errors never come this far.
    """
    if output["output_type"] == "stream":
        return f'<pre class="{output["name"]}">{escape(ANSI.sub("", output["text"]).strip())}</pre>'
    if output["output_type"] not in {"display_data", "execute_result"}:
        raise ValueError(f"an output of the kind {output['output_type']!r} has no place on a page")
    data = output["data"]
    for kind in ("text/html", "image/svg+xml"):
        if kind in data:
            return f'<div class="result">{data[kind]}</div>'
    if "image/png" in data:
        return f'<img alt="" src="data:image/png;base64,{data["image/png"].strip()}">'
    return f'<pre class="result">{escape(data["text/plain"])}</pre>'
