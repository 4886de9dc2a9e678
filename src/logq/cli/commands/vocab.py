"""`logq vocab`: which words a text has, and how many of them a vocabulary keeps."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from logq.cli.command_options import JsonOutput, Quiet
from logq.cli.input_output import WRITES
from logq.cli.terminal.errors import InterruptedWorkError
from logq.cli.terminal.output import check_file, write_json
from logq.cli.terminal.report import say
from logq.cli.text_reading import Encoding, Source, check_text_files, reading_threads

__all__ = ["EXAMPLES", "vocab"]

EXAMPLES = """
logq vocab corpus.txt
logq vocab part-*.txt.gz -o words.txt --min-count 10
logq vocab "texts/**/*.txt" --max-vocab 50000
logq vocab - --top 50 < corpus.txt
"""


def vocab(
    source: Source,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write the words that are kept, as lines of word and count."
        ),
        WRITES,
    ] = None,
    min_count: Annotated[int, typer.Option(metavar="N", min=1, help="Leave out words that occur less often.")] = 5,
    max_vocab: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Maximum number of words to keep, the most frequent.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Number of threads.", show_default="one per core, at most 4")
    ] = None,
    memory: Annotated[
        str,
        typer.Option(
            metavar="SIZE",
            help="Memory for different words, such as 1GB; what is more is counted in temporary files.",
        ),
    ] = "2GB",
    top: Annotated[
        int, typer.Option(metavar="N", min=0, help="Number of words to show, the most frequent first.")
    ] = 10,
    encoding: Encoding = None,
    as_json: JsonOutput = None,
    quiet: Quiet = False,
) -> None:
    """Count the words of a text: how many there are, how many of them are kept, and which are the most frequent.

    Words are separated by white space of any kind. With the same options, `logq train word2vec` learns vectors of the
    words that are kept here. In a pipe, the output is lines of two columns, separated by a tab.
    """
    for file in (output, as_json):
        if file is not None:
            check_file(file)
    check_text_files(source)
    threads = reading_threads(threads)
    try:
        from logq.text import count_words

        progress = False if quiet else None
        options: dict[str, Any] = {"encoding": encoding, "threads": threads, "memory": memory, "progress": progress}
        counted = count_words(source, min_count=min_count, max_vocab=max_vocab, **options)
    except KeyboardInterrupt as stop:
        raise InterruptedWorkError("nothing was written.") from stop
    if output is not None:
        counted.vocabulary.save(output)
    if as_json is not None:
        write_json(as_json, _for_json(counted, top))
    _show(counted, top)
    if output is not None and sys.stdout.isatty():
        say(f"{len(counted.vocabulary):,} words and their counts saved to ", (str(output), "bold"), ".")


def _for_json(counted: Any, top: int) -> dict[str, Any]:
    vocabulary = counted.vocabulary
    return {
        "tokens": vocabulary.raw_words,
        "distinct_words": counted.num_types,
        "distinct_words_kept": len(vocabulary),
        "tokens_covered": vocabulary.total,
        "words": [
            {"word": word, "count": count}
            for word, count in zip(vocabulary.index_to_key[:top], vocabulary.counts[:top].tolist(), strict=True)
        ],
    }


def _show(counted: Any, top: int) -> None:
    vocabulary = counted.vocabulary
    covered = vocabulary.total / vocabulary.raw_words
    numbers = [
        ("tokens", vocabulary.raw_words),
        ("distinct words", counted.num_types),
        ("distinct words kept", len(vocabulary)),
        ("tokens covered", vocabulary.total),
    ]
    words = list(zip(vocabulary.index_to_key[:top], vocabulary.counts[:top].tolist(), strict=True))
    if not sys.stdout.isatty():
        for name, number in [*numbers, ("share covered", f"{covered:.4f}"), *words]:
            print(f"{name}\t{number}")
        return
    from logq.cli.terminal.console import Text
    from logq.cli.terminal.result_tables import ResultTable

    table = ResultTable("", "", "")
    for name, number in numbers:
        table.add(name, f"{number:,}", Text(f"{covered:.2%}" if name == "tokens covered" else "", style="dim"))
    if words:
        table.add("", "", "")
    for word, count in words:
        table.add(Text(word, style="cyan"), f"{count:,}", Text(f"{count / vocabulary.raw_words:.2%}", style="dim"))
    table.show()
