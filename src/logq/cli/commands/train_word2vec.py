"""`logq train word2vec`: word vectors from text."""

import contextlib
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from logq._launch import launched
from logq._progress import format_bytes, format_quantity, format_seconds
from logq.cli.command_options import Quiet, make_command
from logq.cli.continued_model import take_options
from logq.cli.input_output import READS
from logq.cli.terminal.errors import BadInputError, note
from logq.cli.terminal.help import HelpfulCommand
from logq.cli.terminal.output import output_folder
from logq.cli.terminal.report import explore_step, plural, say, say_next, vector_steps
from logq.cli.text_reading import Encoding, Source, check_input_file, check_text_files
from logq.cli.train_frame import Checkpoints, OutputFolder, Training
from logq.folders.folder_contents import MODEL_FILE, check_folder

if TYPE_CHECKING:
    from logq.word2vec import Word2Vec

__all__ = ["EXAMPLES", "Start", "TextCache", "make", "train_word2vec", "word2vec"]

_START = "Start"
_FREE = (
    "epochs",
    "lr",
    "window",
    "num_sampled",
    "shared_negatives",
    "sample",
    "min_count",
    "max_vocab",
    "partitions",
    "threads",
    "seed",
)
"""What may change when a model goes on."""

EXAMPLES = """
logq train word2vec corpus.txt -o vectors
logq train word2vec corpus.txt -o vectors --resume
logq train word2vec "part-*.txt.gz" -o vectors --dim 300 --window 10
logq train word2vec corpus.txt -o vectors --cbow --sample 1e-4
logq train word2vec more.txt --continue vectors -o newer --lr 0.01
logq train word2vec corpus.txt -o vectors --vocab words.txt
logq train word2vec corpus.txt -o vectors --initial old.bin --frozen
logq train word2vec corpus.txt -o vectors --device cuda
logq train word2vec corpus.txt -o vectors --objective sampled_softmax
logq train word2vec - -o vectors < corpus.txt
"""


@dataclass(frozen=True)
class TextCache:
    """Options of the encoded text, which the next run over it can reuse."""

    cache_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for the encoded text, 4 bytes per word, which the next run reuses.",
            show_default="cache in the output folder",
            rich_help_panel="Checkpoints",
        ),
    ] = None
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Remove the encoded text at the end.", rich_help_panel="Checkpoints")
    ] = False


@dataclass(frozen=True)
class Start:
    """Options of what a training starts from, and of what it leaves for a later one."""

    go_on: Annotated[
        Path | None,
        typer.Option(
            "--continue",
            metavar="DIR",
            help="Continue training the model in DIR: its words keep what they have learned, new words that are "
            "frequent enough join them, and counts are added up. The learning rate starts again at --lr.",
            show_default=False,
            rich_help_panel=_START,
        ),
        READS,
    ] = None
    vocab: Annotated[
        Path | None,
        typer.Option(
            "--vocab",
            "--vocabulary",
            metavar="FILE",
            help="Learn these words, rare ones too, and no others: lines of word and count, as `logq vocab -o` writes.",
            show_default=False,
            rich_help_panel=_START,
        ),
        READS,
    ] = None
    initial: Annotated[
        str | None,
        typer.Option(
            "--initial",
            metavar="VECTORS",
            help="Start from these vectors for the words that they have: a folder, or a file of another tool.",
            show_default=False,
            rich_help_panel=_START,
        ),
        READS,
    ] = None
    frozen: Annotated[
        bool, typer.Option("--frozen", help="Leave the vectors of --initial as they are.", rich_help_panel=_START)
    ] = False
    vectors_only: Annotated[
        bool,
        typer.Option(
            "--vectors-only",
            help="Save the vectors alone, without the model that --continue needs.",
            rich_help_panel=_START,
        ),
    ] = False

    def check(self, output: Path) -> None:
        """Check what can be said before anything is read.

        Raises:
            BadInputError: an option excludes another, or a file is missing.
        """
        if self.go_on is not None:
            if self.vocab is not None:
                raise BadInputError("--vocab: expected none with --continue, as a model keeps its words")
            if self.vectors_only and self.goes_on_in(output):
                raise BadInputError("--vectors-only: expected another --output than the folder of --continue")
            found = check_folder(self.go_on, "word vectors")
            if not (self.go_on / MODEL_FILE).exists():
                what = "a file" if found is None else "vectors alone"
                raise BadInputError(
                    f"--continue: {self.go_on} holds {what}; only a folder with {MODEL_FILE} can go on learning, which "
                    "`logq train word2vec` and Word2Vec.save write"
                )
        if self.vocab is not None:
            check_input_file(self.vocab, "a file of words and counts")
        if self.initial is not None:
            check_folder(Path(self.initial), "word vectors")
        elif self.frozen:
            raise BadInputError("--frozen: expected --initial VECTORS with it")

    def goes_on_in(self, folder: Path) -> bool:
        """Whether a model of this folder goes on and is replaced."""
        return self.go_on is not None and self.go_on.resolve() == folder.resolve()

    def model(self, arguments: Mapping[str, Any]) -> "Word2Vec":
        """The model that is trained, with the options that were typed."""
        from logq.word2vec.word2vec import Word2Vec

        if self.go_on is None:
            return Word2Vec(**arguments)
        where = {name: arguments[name] for name in ("device", "engine") if name in arguments}
        model = Word2Vec.load(self.go_on, **where)
        take_options(model, self.go_on, arguments, _FREE)
        return model

    def of_fit(self, model: "Word2Vec") -> dict[str, Any]:
        """What `fit` gets of all this."""
        if self.go_on is not None and model.hs:
            note("new words are left out: the tree of hierarchical softmax cannot grow.")
        return {
            "warm": True if self.go_on is not None else None,
            "new_words": self.go_on is None or not model.hs,
            "vocabulary": self.vocab,
            "initial": self.initial,
            "frozen": self.frozen,
        }


def make() -> HelpfulCommand:
    """Make the command, with the options that Word2Vec has."""
    from logq.word2vec.word2vec_config import Word2VecConfig

    return make_command(word2vec, EXAMPLES, Word2VecConfig.options())


def word2vec(
    source: Source,
    output: OutputFolder,
    arguments: Mapping[str, Any],
    checkpoints: Checkpoints,
    start: Start,
    cache: TextCache,
    encoding: Encoding = None,
    quiet: Quiet = False,
) -> None:
    """Train word2vec vectors: skip-gram or CBOW, with any objective.

    Negative sampling and --hs run in a compiled engine on all cores, negative sampling with --device cuda on the GPU;
    everything else runs in plain PyTorch, tens of times slower. The vectors are saved after each epoch, which replaces
    those of an earlier run in DIR, and at the end the whole model, which --continue goes on with. A checkpoint is saved
    every few minutes and on Ctrl-C; --resume continues from it. Started by torchrun, several processes train together,
    each on its part of the text.
    """
    check_text_files(source)
    if cache.no_cache and cache.cache_dir is not None:
        raise BadInputError("--no-cache: expected no --cache-dir with it")
    start.check(output)
    with output_folder(output):
        training = Training(output, checkpoints, quiet=quiet, what="vectors")
        model = train_word2vec(source, training, arguments, cache, encoding, start)
        if quiet or not launched().is_first:
            return
        words = model.vocabulary.index_to_key
        steps = vector_steps(output, next((word for word in words if len(word) > 3), words[0]))
        steps.insert(1, (f"logq map {shlex.quote(str(output))} -o {shlex.quote(str(output / 'map.html'))}", "a map"))
        steps.insert(2, explore_step(output))
        say_next(steps)


def train_word2vec(
    source: Any,
    training: Training,
    arguments: Mapping[str, Any],
    cache: TextCache | None = None,
    encoding: str | None = None,
    start: Start | None = None,
) -> "Word2Vec":
    """Train word2vec, save its vectors after each epoch, and say where they are.

    Args:
        source: paths, or sentences as lists of words.
        training: where the vectors go.
        arguments: of logq.Word2Vec.
        cache: what becomes of the encoded text; None to keep none.
        encoding: of the files; None recognizes it.
        start: what it starts from; None keeps the vectors alone.

    Raises:
        ArgumentError, InterruptedWorkError, StoppedError: it could not be trained.
    """

    def save(model: "Word2Vec", epoch: int) -> None:
        model.save_vectors(training.folder)
        if launched().is_first and not begins.goes_on_in(training.folder):
            training.clear()
        training.done, training.epochs = epoch, model.epochs

    begins = start or Start(vectors_only=True)
    beside: dict[str, Any] = {"encoding": encoding}
    if launched().size > 1:  # each process keeps its part of the text for itself
        if cache is not None and cache.cache_dir is not None:
            raise BadInputError("--cache-dir: expected none where several processes train")
        cache = None
    if cache is not None:
        beside["cache"] = training.folder / "cache" if cache.cache_dir is None else cache.cache_dir
    try:
        with training.run():
            model = begins.model(arguments)
            known = len(model.vocabulary) if model.is_fitted else 0
            if model.why_plain:
                note(f"{model.why_plain}: training in plain PyTorch, tens of times slower.")
            model.fit(source, on_epoch_end=save, **begins.of_fit(model), **training.arguments, **beside)
            if not begins.vectors_only:
                model.save(training.folder)
    finally:
        if cache is not None:
            with contextlib.suppress(OSError):  # an empty one is of no use
                beside["cache"].rmdir()
    if not training.quiet:
        _report(model, training.folder, known)
    if cache is not None:
        _settle_cache(beside["cache"], keep=not cache.no_cache, quiet=training.quiet)
    return model


def _report(model: "Word2Vec", folder: Path, known: int) -> None:
    took = format_seconds(model.encoding_seconds + model.training_seconds)
    size = f"{len(model.vocabulary):,} words, {model.dim} numbers each,"
    if known:
        new = plural(len(model.vocabulary) - known, "new word")
        say(f"Went on with {plural(known, 'known word')}; {new} came in.")
    say(f"Vectors of {size} saved to ", (str(folder), "bold"), f" in {took}.")
    speed = format_quantity(model.words_trained / max(model.training_seconds, 1e-9))
    loss = "" if math.isnan(model.mean_loss) else f", mean loss {model.mean_loss:.3f}"
    say(f"Reading took {model.encoding_seconds:.1f} s, training {model.training_seconds:.1f} s: {speed} words/s{loss}.")


def _settle_cache(cache: Path, *, keep: bool, quiet: bool) -> None:
    if not keep:
        from logq.text.encoding_cache import remove_encodings

        remove_encodings(cache)
        return
    size = sum(path.stat().st_size for path in cache.glob("*.ids"))
    if size and not quiet:
        say(f"The encoded text, {format_bytes(size)}, stays for the next run in ", (str(cache), "bold"), ".")
