"""`logq generate`: text that a language model goes on with."""

from typing import Annotated

import typer

from logq.cli.errors import BadInputError, say_error
from logq.cli.lm_folder import ModelArgument, check_language_model, open_language_model

__all__ = ["EXAMPLES", "generate"]

EXAMPLES = """
logq generate model
logq generate model the price of -n 5
logq generate model the price of --temperature 0
logq generate model.arpa --top-k 20 --seed 1 --max-words 12
"""


def generate(
    model: ModelArgument,
    prompt: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PROMPT...]", help="How the line begins; words as in the text of training."),
    ] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", metavar="N", min=1, help="How many lines.")] = 1,
    max_words: Annotated[int, typer.Option(metavar="N", min=0, help="The most words to add to a line.")] = 50,
    temperature: Annotated[
        float,
        typer.Option(
            metavar="X",
            min=0.0,
            help="Below 1 prefers probable words, 0 takes the most probable one, above 1 evens them out.",
        ),
    ] = 1.0,
    top_k: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Draw from the N most probable words only. Default: from all."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Makes the lines repeatable; each has the next seed.")
    ] = None,
    device: Annotated[str, typer.Option("--device", metavar="NAME", help="cpu, cuda, cuda:1, ...")] = "cpu",
) -> None:
    """Go on with a line, word by word at random as a language model finds them probable, until it ends.

    Without PROMPT a line is made from its beginning. A word that the model does not know counts as <unk>.
    """
    check_language_model(model)
    loaded = open_language_model(model, device=device)
    words = " ".join(prompt or ()).split()
    known = loaded.vocabulary
    for word in dict.fromkeys(words):
        if word not in known:
            hint = f"; {word.lower()!r} is" if word.lower() in known else ""
            say_error(f"{word!r} is not among the {len(known):,} words of the model, it counts as <unk>{hint}", "Note")
    for line in range(lines):
        try:
            text = loaded.generate(
                words,
                max_words=max_words,
                temperature=temperature,
                top_k=top_k,
                seed=None if seed is None else seed + line,
            )
        except ValueError as error:
            raise BadInputError(str(error)) from error
        print(text)
