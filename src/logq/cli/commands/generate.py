"""`logq generate`: text from a language model."""

from typing import Annotated

import typer

from logq.cli.command_options import Device, JsonOutput
from logq.cli.model_folders import LanguageModelArgument
from logq.cli.terminal.console import print_line
from logq.cli.terminal.errors import note
from logq.cli.terminal.output import check_file, write_json
from logq.folders.recommender_folders import load_language_model

__all__ = ["EXAMPLES", "generate"]

EXAMPLES = """
logq generate model
logq generate model the price of -n 5
logq generate model the price of --temperature 0
logq generate model.arpa --top-k 20 --seed 1 --max-words 12
"""


def generate(
    model: LanguageModelArgument,
    prompt: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PROMPT...]", help="Beginning of the line; words are written as in the training text."),
    ] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", metavar="N", min=1, help="Number of lines.")] = 1,
    max_words: Annotated[int, typer.Option(metavar="N", min=0, help="Maximum number of words to add to a line.")] = 50,
    temperature: Annotated[
        float,
        typer.Option(
            metavar="X",
            min=0.0,
            help="Below 1 favors probable words, 0 takes the most probable one, above 1 flattens the distribution.",
        ),
    ] = 1.0,
    top_k: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Draw from the N most probable words only.", show_default="all"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Seed of the first line; each line has the next one.")
    ] = None,
    output: JsonOutput = None,
    device: Device = "cpu",
) -> None:
    """Generate text from a language model: continue a line word by word, until it ends.

    Without PROMPT, whole lines are generated. A word that the model does not know counts as <unk>.
    """
    if output is not None:
        check_file(output)
    loaded = load_language_model(model, device=device)
    words = " ".join(prompt or ()).split()
    known = loaded.vocabulary
    for word in dict.fromkeys(words):
        if word not in known:
            hint = f"; {word.lower()!r} is" if word.lower() in known else ""
            note(f"{word!r} is not among the {len(known):,} words of the model and counts as <unk>{hint}.")
    made: list[str] = []
    for line in range(lines):
        drawn = None if seed is None else seed + line
        made.append(loaded.generate(words, max_words=max_words, temperature=temperature, top_k=top_k, seed=drawn))
        print_line(made[-1])
    if output is not None:
        write_json(output, {"model": str(model), "prompt": " ".join(words), "lines": made})
