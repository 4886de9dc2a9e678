"""`logq neighbors`: the words nearest to others."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from logq.cli.command_options import JsonOutput, VectorsArgument
from logq.cli.model_folders import IndexOption
from logq.cli.terminal.errors import say_error
from logq.cli.terminal.output import check_file, write_json
from logq.cli.terminal.result_tables import show_nearest, show_neighbors
from logq.cli.text_reading import VectorReading, read_vectors

if TYPE_CHECKING:
    from logq.vectors import KeyedVectors

__all__ = ["EXAMPLES", "neighbors"]

EXAMPLES = """
logq neighbors vectors coffee
logq neighbors vectors coffee tea water --topn 5
logq neighbors vectors king woman --minus man
logq neighbors vectors coffee --index vectors/index
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
    index: IndexOption = None,
    output: JsonOutput = None,
    *,
    reading: VectorReading,
) -> None:
    """Show the nearest neighbors of words, by the cosine of their vectors.

    Each word is a question with its own answer; words without a vector are listed at the end. With --minus or
    --together all words make one question: the neighbors of their sum, as in king + woman - man. In a pipe, the output
    is lines of question, neighbor and cosine, separated by tabs.
    """
    if output is not None:
        check_file(output)
    known = read_vectors(vectors, reading, mapped=True)
    from logq.vectors.nearest_words import UnknownWord

    where = None
    if index is not None:
        from logq.folders.index_folders import load_index_of_words

        where = load_index_of_words(known, index, "cosine")
    unknown: list[UnknownWord] = []
    if minus or together:
        question = " ".join([" + ".join(words), *(f"- {word}" for word in minus or [])])
        answers = [(question, known.most_similar(positive=words, negative=minus or [], topn=topn, index=where))]
    else:
        answers = list[tuple[str, list[tuple[str, float]]]]()
        for word in words:
            try:
                answers.append((word, known.most_similar(word, topn=topn, index=where)))
            except UnknownWord as error:  # noqa: PERF203 - all words are answered, and then the unknown ones named
                unknown.append(error)
    if output is not None:
        found = [
            {"question": question, "neighbors": [{"word": word, "cosine": cosine} for word, cosine in nearest]}
            for question, nearest in answers
        ]
        write_json(output, {"vectors": vectors, "answers": found, "unknown": [error.word for error in unknown]})
    _show(answers, known)
    if unknown:
        sys.stdout.flush()
        for error in unknown:
            say_error(str(error))
        raise typer.Exit(2)


def _show(answers: "list[tuple[str, list[tuple[str, float]]]]", known: "KeyedVectors") -> None:
    if not sys.stdout.isatty():
        for question, nearest in answers:
            for word, cosine in nearest:
                print(f"{question}\t{word}\t{cosine:.6f}")
    elif len(answers) == 1:
        question, nearest = answers[0]
        counts = known.counts
        often = None if counts is None else {word: int(counts[known.get_index(word)]) for word, _ in nearest}
        show_nearest(question, nearest, often)
    elif answers:
        show_neighbors(answers)
