"""`logq export`: a model in the format of another program."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from logq._arguments import ArgumentError
from logq._progress import format_bytes
from logq._project import page
from logq.cli.command_options import Quiet, one_of
from logq.cli.input_output import WRITES_FOLDER
from logq.cli.model_folders import ModelArgument, open_model
from logq.cli.terminal.errors import BadInputError
from logq.cli.terminal.output import output_folder
from logq.cli.terminal.report import say
from logq.exports.export_formats import FORMATS, chosen_format, export_model
from logq.folders.folder_contents import find_contents

__all__ = ["EXAMPLES", "export"]

EXAMPLES = """
logq export model -o service
logq export vectors -o embedding
logq export vectors -o text --format word2vec
logq export lm -o kenlm --format arpa
logq export hf://me/shop -o service
"""

_NAMES = [one.name for one in FORMATS]


def export(
    model: ModelArgument,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FOLDER", help="Folder for the files: empty, or an earlier export."),
        WRITES_FOLDER,
    ],
    format: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=" ".join(f"{one.name}: {one.summary}" for one in FORMATS),
            show_default="the first of these that the model has",
            autocompletion=one_of(*_NAMES),
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write a model in the format of another program.

    A neural recommender becomes a folder for a service with onnxruntime and NumPy alone: the tower that makes queries
    of histories, the vectors, ids and titles of the items. Word vectors become a model of sentence-transformers, whose
    vectors of texts are the means of ours, or files of word2vec and fastText; n-grams an ARPA file. ONNX needs the
    extra `onnx`.
    """
    if format is not None and format not in _NAMES:
        raise BadInputError(f"--format: expected one of {', '.join(_NAMES)}, got {format!r}")
    there = find_contents(model) if model.is_dir() else None
    if there is not None and there.entry is not None:
        try:
            chosen_format(there.entry.load_class(), format)
        except ArgumentError as error:
            raise BadInputError(_typed(error)) from error
    found, titles = open_model(model)
    if not quiet and format in (None, "onnx") and hasattr(found, "export"):
        say(("Writing the tower of queries as ONNX, which takes some seconds ...", "dim"))
    with output_folder(output):
        try:
            name = export_model(found, output, format, titles=titles)
        except ArgumentError as error:
            raise BadInputError(_typed(error)) from error
    if quiet:
        return
    say(f"{type(found).__name__} as {name} in ", (str(output), "bold"), ":")
    for file in sorted(output.iterdir()):
        say(f"  {file.name}  {format_bytes(file.stat().st_size)}")
    if name == "onnx":
        say(f"A service of a few lines reads it: {page('docs/exports.md')}")
    elif name == "static-embedding":
        say(f'SentenceTransformer({shlex.quote(str(output))}).encode(["some text"]) of sentence-transformers reads it.')


def _typed(error: ArgumentError) -> str:
    """The message of an error of `logq.exports`, in the names of the command line."""
    named = {"folder": "--output", "format": "--format", "model": "MODEL"}
    return error.message(named.get(error.name, f"MODEL: {error.name}"))
