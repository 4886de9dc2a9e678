"""`logq evaluate words`: how vectors do on what people know about words."""

import json
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from logq._files import atomic_write
from logq.cli.errors import BadInputError
from logq.cli.help import HelpfulCommand, HelpfulGroup
from logq.cli.output import check_file
from logq.cli.report import say
from logq.cli.scores import analogy_lines, analogy_table, scores_for_json, similarity_lines, similarity_table

__all__ = ["EXAMPLES", "MethodName", "evaluate", "words"]

EXAMPLES = """
logq evaluate words vectors --similarity wordsim353.tsv
logq evaluate words vectors --analogies questions-words.txt
logq evaluate words vectors --similarity SimLex-999.txt --json scores.json
logq evaluate words GoogleNews.bin -a questions-words.txt --method 3cosadd
"""

_EXAMPLES = """
logq evaluate words vectors --analogies questions-words.txt
logq evaluate lm model test.txt
logq evaluate ranking model
"""


class MethodName(str, Enum):
    """Rules that answer an analogy, as logq.evaluation names them, and all of them."""

    cosadd = "3cosadd"
    cosmul = "3cosmul"
    both = "both"


evaluate = typer.Typer(name="evaluate", cls=HelpfulGroup, add_help_option=False, add_completion=False, epilog=_EXAMPLES)


@evaluate.callback(invoke_without_command=True)
def choose_task(context: typer.Context) -> None:
    """Measure how good word vectors, language models or recommendations are."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@evaluate.command("words", cls=HelpfulCommand, epilog=EXAMPLES)
def words(
    vectors: Annotated[str, typer.Argument(metavar="VECTORS", help="Folder of `logq train`, or a word2vec file.")],
    similarity: Annotated[
        list[Path] | None,
        typer.Option(
            "--similarity",
            "-s",
            metavar="FILE",
            help="Word pairs and what people think of them: word, word, score a line. Repeatable.",
        ),
    ] = None,
    analogies: Annotated[
        list[Path] | None,
        typer.Option(
            "--analogies",
            "-a",
            metavar="FILE",
            help='Questions, four words a line, in sections that begin with ": name". Repeatable.',
        ),
    ] = None,
    method: Annotated[
        MethodName, typer.Option("--method", metavar="NAME", help="How to answer analogies: 3cosadd, 3cosmul or both.")
    ] = MethodName.both,
    restrict_vocab: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Know only the first N words, as gensim does with 300000. Default: all.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all numbers to a file, too.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress line.")] = False,
) -> None:
    """Compare word vectors with what people know: which words are alike, and how words relate.

    --similarity gives the correlation of cosines with human scores: Spearman's of the ranks is the number that papers
    report, p how likely chance alone gives one as large. --analogies gives the share of questions "a is to b as c is
    to ?" that are answered as expected, by b - a + c (3CosAdd) or by products of cosines (3CosMul). Capitals do not
    matter. What holds an unknown word is left out, and "unknown" says how much that is: compare two models only where
    they know the same. Read by another program (in a pipe), the answer is lines separated by tabs.
    """
    if not similarity and not analogies:
        raise BadInputError("give word pairs by --similarity FILE, analogies by --analogies FILE, or both")
    if output is not None:
        check_file(output)
    from logq.evaluation import read_analogies, read_pairs, word_analogies, word_similarity
    from logq.evaluation.analogies import METHODS, Method
    from logq.evaluation.similarity import can_tell_p
    from logq.vectors import KeyedVectors

    # The small files first: a mistake in them is found before large vectors are read.
    pairs = {str(path): read_pairs(path) for path in similarity or []}
    questions = {str(path): read_analogies(path) for path in analogies or []}
    known = KeyedVectors.load(vectors)
    similarities = [
        (path, word_similarity(known, judged, restrict_vocab=restrict_vocab)) for path, judged in pairs.items()
    ]
    methods: list[Method] = [name for name in METHODS if method.value in (name, "both")]
    progress = False if quiet else None
    answers = [
        (path, [word_analogies(known, q, method=m, restrict_vocab=restrict_vocab, progress=progress) for m in methods])
        for path, q in questions.items()
    ]
    if output is not None:
        scores: dict[str, Any] = {
            "vectors": vectors,
            "words": len(known),
            "dimensions": known.vector_size,
            "restrict_vocab": restrict_vocab,
            **scores_for_json(similarities, answers),
        }
        with atomic_write(output) as file:
            file.write((json.dumps(scores, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())
    if not sys.stdout.isatty():
        for line in (*similarity_lines(similarities), *analogy_lines(answers)):
            print("\t".join(line))
        return
    console = Console()
    if similarities:
        console.print(similarity_table(similarities))
        if not can_tell_p():
            say(("p values need scipy: pip install 'logq[evaluate]'", "dim"))
    for number, (path, results) in enumerate(answers):
        if similarities or number:
            say()
        console.print(analogy_table(path, results))
