"""`logq evaluate words`: how vectors compare with human judgment about words."""

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from logq._project import install_line
from logq.cli.command_options import JsonOutput, Quiet, VectorsArgument
from logq.cli.input_output import READS
from logq.cli.terminal.errors import BadInputError, note
from logq.cli.terminal.output import check_file, write_json
from logq.cli.terminal.report import say
from logq.cli.terminal.word_scores import (
    analogy_lines,
    analogy_table,
    remarks_on_unknown,
    scores_for_json,
    similarity_lines,
    similarity_table,
)
from logq.cli.text_reading import TestEncoding, VectorReading, read_vectors, reading_test_sets

__all__ = ["EXAMPLES", "MethodName", "words"]

EXAMPLES = """
logq evaluate words vectors --similarity wordsim353.tsv
logq evaluate words vectors --analogies questions-words.txt
logq evaluate words vectors --similarity SimLex-999.txt --json scores.json
logq evaluate words GoogleNews.bin -a questions-words.txt --method 3cosadd
"""


class MethodName(str, Enum):
    """Rules that answer an analogy, as logq.evaluation names them, and both of them."""

    cosadd = "3cosadd"
    cosmul = "3cosmul"
    both = "both"


def words(
    vectors: VectorsArgument,
    similarity: Annotated[
        list[Path] | None,
        typer.Option(
            "--similarity",
            "-s",
            metavar="FILE",
            help="Word pairs with human scores: word, word and score on each line. Repeatable.",
        ),
        READS,
    ] = None,
    analogies: Annotated[
        list[Path] | None,
        typer.Option(
            "--analogies",
            "-a",
            metavar="FILE",
            help='Questions, four words on each line, in sections that begin with ": name". Repeatable.',
        ),
        READS,
    ] = None,
    method: Annotated[
        MethodName, typer.Option("--method", metavar="NAME", help="How to answer analogies: 3cosadd, 3cosmul or both.")
    ] = MethodName.both,
    restrict_vocab: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Use the first N words only, as gensim does with 300000.",
            show_default="all",
        ),
    ] = None,
    test_encoding: TestEncoding = None,
    output: JsonOutput = None,
    quiet: Quiet = False,
    *,
    reading: VectorReading,
) -> None:
    """Evaluate word vectors against human judgment: which words are similar, and how words relate.

    --similarity gives the correlation of cosines with human scores: Spearman's, of the ranks, is the one that papers
    report; p is the probability that chance alone gives one as large. --analogies gives the share of questions "a is to
    b as c is to ?" that are answered correctly, by b - a + c (3CosAdd) or by products of cosines (3CosMul). Case does
    not matter. Questions with an unknown word are left out, and "unknown" says how many they are: compare two models
    only where they know the same words. In a pipe, the output is lines separated by tabs.
    """
    if not similarity and not analogies:
        raise BadInputError("give word pairs by --similarity FILE, analogies by --analogies FILE, or both")
    if output is not None:
        check_file(output)
    from logq.evaluation import read_analogies, read_pairs, word_analogies, word_similarity
    from logq.evaluation.analogies import METHODS, Method
    from logq.evaluation.similarity import can_tell_p

    # The small files first: a mistake in them is found before large vectors are read.
    with reading_test_sets():
        pairs = {str(path): read_pairs(path, encoding=test_encoding) for path in similarity or []}
        questions = {str(path): read_analogies(path, encoding=test_encoding) for path in analogies or []}
    known = read_vectors(vectors, reading, "evaluate")
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
        write_json(output, scores)
    if not sys.stdout.isatty():
        for line in (*similarity_lines(similarities), *analogy_lines(answers)):
            print("\t".join(line))
    else:
        if similarities:
            similarity_table(similarities).show()
            if not can_tell_p():
                say((f"p values need scipy: {install_line('evaluate')}", "dim"))
        for number, (path, results) in enumerate(answers):
            if similarities or number:
                say()
            analogy_table(path, results).show()
    for remark in remarks_on_unknown(similarities, answers):
        note(remark)
