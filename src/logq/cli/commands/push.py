"""`logq push`: a model, with its card, to the Hugging Face Hub."""

import json
import shlex
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

import typer

from logq._arguments import ArgumentError
from logq._progress import format_bytes
from logq.cli.command_options import Quiet
from logq.cli.input_output import READS
from logq.cli.model_folders import ModelArgument, open_model
from logq.cli.terminal.errors import BadInputError
from logq.cli.terminal.report import in_python, positional, python_command, say, say_next

__all__ = ["EXAMPLES", "push"]

EXAMPLES = """
logq push model me/shop --dry-run
logq push model me/shop --license mit --private
logq push model me/shop --scores 'the test part=scores.json'
logq push vectors me/words --language en --about about.md
"""


def push(
    model: ModelArgument,
    repo_id: Annotated[str, typer.Argument(metavar="USER/NAME", help="Repository; it is made if it is missing.")],
    users: Annotated[
        bool,
        typer.Option("--users", help="Send the ids and histories of users along, which otherwise stay here."),
    ] = False,
    private: Annotated[
        bool,
        typer.Option("--private", help="Make a repository that others do not see; send nothing to one that they do."),
    ] = False,
    revision: Annotated[
        str | None, typer.Option(metavar="NAME", help="Branch, made if it is missing.", show_default="main")
    ] = None,
    message: Annotated[str, typer.Option(metavar="TEXT", help="Message of the commit.")] = "",
    scores: Annotated[
        list[str] | None,
        typer.Option(
            "--scores",
            metavar="DATA=JSON",
            help="What was measured: on what, and the file that `logq evaluate --json` wrote; or that alone. "
            "Repeatable.",
            rich_help_panel="Card",
        ),
    ] = None,
    about: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Markdown for the top of the card.", rich_help_panel="Card"),
        READS,
    ] = None,
    license: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="License as the hub names it: mit, cc-by-4.0, ...", rich_help_panel="Card"),
    ] = None,
    language: Annotated[
        list[str] | None,
        typer.Option(
            "--language", metavar="CODE", help="Language of the text: en, ... Repeatable.", rich_help_panel="Card"
        ),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="NAME", help="Further tag. Repeatable.", rich_help_panel="Card"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the card and the files, and send nothing.", rich_help_panel="Card")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Send a model to the Hugging Face Hub, with a card that says where it comes from. Needs the extra `hub`.

    The card has a fingerprint of the data, the settings and why they were chosen, what validation measured, and how to
    load the model; it names no user. Users and their histories are not sent either, unless --users asks for it, and the
    log never is. HF_TOKEN, or `hf auth login`, says who you are.

    Every command that reads a model takes hf://USER/NAME instead of a folder, and hf://USER/NAME@REVISION.
    """
    from logq.folders.recommender_folders import save_titles
    from logq.hub.hub_folders import check_client, hub_place, push_folder, repository_name
    from logq.hub.model_cards import CARD, Card

    name = repository_name(repo_id)
    if not dry_run:
        check_client()
    found, titles = open_model(model)
    if users and not found.saved_for_others:
        raise BadInputError(f"--users: expected none with {type(found).__name__}, which knows no users")
    card = Card(
        scores=_scores(scores or [], type(found).__name__),
        about="" if about is None else about.read_text(encoding="utf-8"),
        license=license,
        languages=language or (),
        tags=tag or (),
        repo_id=name,
        written=_saved_on(model),
    )
    with tempfile.TemporaryDirectory(prefix="logq-") as folder:
        home = Path(folder)
        saving = dict.fromkeys(found.saved_for_others, users)  # which is about users, and nothing else
        found.save(home, **saving, card=card)
        if titles is not None:
            save_titles(home, titles)
        if dry_run:
            say((home / CARD).read_text(encoding="utf-8"))
            for file in sorted(home.iterdir()):
                say(f"  {file.name}  {format_bytes(file.stat().st_size)}")
            return
        address = push_folder(
            home,
            name,
            private=private or None,
            revision=revision,
            message=message,
            progress=False if quiet else None,
        )
    if quiet:
        return
    place = hub_place(name, revision)
    say(f"{type(found).__name__} is at ", (place, "bold"), f" now: {address}")
    say_next([*_asking(found, place), (python_command(f"import logq; print(logq.load({in_python(place)}))"), "")])


def _saved_on(model: Path) -> str | None:
    """The day on which a model was written."""
    files = [model / name for name in ("model.safetensors", "vectors.safetensors")] if model.is_dir() else [model]
    times = [file.stat().st_mtime for file in files if file.exists()]
    return datetime.fromtimestamp(max(times), timezone.utc).date().isoformat() if times else None


def _scores(typed: list[str], kind: str) -> dict[str, dict[str, Any]]:
    """The numbers of files that `logq evaluate --json` wrote, by what they were measured on.

    Args:
        typed: DATA=JSON, or JSON.
        kind: the class of the model, whose scores a file of rankings has beside those of others.

    Raises:
        BadInputError: one has no numbers.
    """
    from logq.hub.model_cards import measured

    found: dict[str, dict[str, Any]] = {}
    for one in typed:
        name, _, file = one.rpartition("=")
        try:
            read = json.loads(Path(file).read_bytes())
            own = _own_scores(read, kind)
            measured(own)
        except (ArgumentError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            said = f" ({error})" if isinstance(error, ArgumentError) else ""
            expected = "expected DATA=JSON, a file that `logq evaluate --json` wrote, or one of numbers by name"
            raise BadInputError(f"--scores: {expected}, got {one!r}{said}") from error
        found[name or Path(str(read.get("test") or "what it was evaluated on")).name] = own  # not where a log lies
    return found


def _own_scores(read: dict[str, Any], kind: str) -> dict[str, Any]:
    """The numbers of the model in what an evaluation wrote: of rankings, of texts, of words, or any by name."""
    own = read.get(kind, read.get("all", read))
    for test in read.get("similarity", ()):
        own = {**own, f"Spearman, {Path(test['file']).name}": test["spearman"]["coefficient"]}
    for test in read.get("analogies", ()):
        own = {**own, f"accuracy, {Path(test['file']).name}": test["total"]["accuracy"]}
    return own


def _asking(found: Any, place: str) -> list[tuple[str, str]]:
    """The command that asks the model where it is now."""
    if hasattr(found, "known"):
        item = shlex.quote(str(found.known.item_ids.keys[0]))
        return [(f"logq recommend {place} --history {item}", "from anywhere")]
    if hasattr(found, "generate"):
        return [(f"logq generate {place}", "from anywhere")]
    words = found.index_to_key if hasattr(found, "index_to_key") else found.vocabulary.index_to_key
    return [(f"logq neighbors {place} {positional(words[0])}", "from anywhere")]
