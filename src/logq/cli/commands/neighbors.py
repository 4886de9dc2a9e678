"""`logq neighbors`: the words nearest to others."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from logq.cli.command_options import VectorsArgument
from logq.cli.model_folders import check_vectors
from logq.cli.terminal.errors import say_error
from logq.cli.terminal.report import answer_table, neighbor_table, say
from logq.cli.text_reading import VectorReading, read_vectors

if TYPE_CHECKING:
    from logq.vectors import KeyedVectors

__all__ = ["EXAMPLES", "neighbors"]

EXAMPLES = """
logq neighbors vectors coffee
logq neighbors vectors coffee tea water --topn 5
logq neighbors vectors king woman --minus man
logq neighbors vectors coffee | cut -f2
"""


def neighbors(
    vectors: VectorsArgument,
    words: Annotated[list[str], typer.Argument(metavar="WORD...", help="Words to ask about.")],
    topn: Annotated[int, typer.Option("--topn", "-n", metavar="N", min=1, help="Number of neighbors to show.")] = 10,
    minus: Annotated[
        list[str] | None,
        typer.Option(
            "--minus",
            "--negative",
            metavar="WORD",
            help="Subtract this word; all words make one question. Repeatable.",
        ),
    ] = None,
    together: Annotated[bool, typer.Option("--together", help="Add the words up and ask one question.")] = False,
    *,
    reading: VectorReading,
) -> None:
    """Show the nearest neighbors of words, by the cosine of their vectors.

    Each word is a question with its own answer; words without a vector are listed at the end. With --minus or
    --together all words make one question: the neighbors of their sum, as in king + woman - man. In a pipe, the output
    is lines of question, neighbor and cosine, separated by tabs.
    """
    from logq.vectors.nearest_words import UnknownWord

    check_vectors(vectors)
    known = read_vectors(vectors, reading)
    unknown: list[str] = []
    if minus or together:
        question = " ".join([" + ".join(words), *(f"- {word}" for word in minus or [])])
        answers = [(question, known.most_similar(positive=words, negative=minus or [], topn=topn))]
    else:
        unknown = [word for word in words if word not in known]
        answers = [(word, known.most_similar(word, topn=topn)) for word in words if word in known]
    _show(answers, known)
    if unknown:
        sys.stdout.flush()
        for word in unknown:
            say_error(str(UnknownWord(word, known.index_to_key)))
        raise typer.Exit(2)


def _show(answers: "list[tuple[str, list[tuple[str, float]]]]", known: "KeyedVectors") -> None:
    if not sys.stdout.isatty():
        for question, nearest in answers:
            for word, cosine in nearest:
                print(f"{question}\t{word}\t{cosine:.6f}")
        return
    if not answers:
        return
    console = Console()
    if len(answers) == 1:
        question, nearest = answers[0]
        counts = known.counts
        often = None if counts is None else {word: int(counts[known.key_to_index[word]]) for word, _ in nearest}
        console.print(answer_table(question, nearest, often))
        return
    # Several questions stand side by side where there is room, one after the other otherwise.
    widths = [
        max(len(text) + 6 for text in [question, *(word for word, _ in nearest)]) for question, nearest in answers
    ]
    side_by_side = sum(widths) + 3 * len(widths) <= console.width
    for number, block in enumerate([answers] if side_by_side else [[answer] for answer in answers]):
        if number:
            say()
        console.print(neighbor_table(block))
