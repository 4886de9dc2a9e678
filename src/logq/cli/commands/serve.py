"""`logq serve`: a model behind HTTP."""

import ipaddress
import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from logq._arguments import BadArgumentError
from logq.cli.command_options import Device, Quiet
from logq.cli.input_output import READS
from logq.cli.listening import address_of, listen, run_app
from logq.cli.terminal.errors import BadInputError, note
from logq.cli.terminal.report import say

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["EXAMPLES", "serve"]

EXAMPLES = """
logq serve model
logq serve vectors --port 8080
logq serve model --index model/index --index model/alike
logq serve model --host 0.0.0.0 --token secret
"""


def serve(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="Folder written by `logq train`, a file of word vectors of another tool, or an ARPA file.",
        ),
        READS,
    ],
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    host: Annotated[
        str, typer.Option(metavar="NAME", help="Address to listen on; others than this machine need e.g. 0.0.0.0.")
    ] = "127.0.0.1",
    index: Annotated[
        list[Path] | None,
        typer.Option(
            "--index",
            metavar="INDEX",
            help="Search in this index, a folder written by `logq index`; one by inner product for /recommend, one by "
            "cosine for /similar. Repeatable.",
        ),
        READS,
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            envvar="LOGQ_TOKEN",
            help="Answer only requests with the header `Authorization: Bearer TEXT`. Other users of this machine see "
            "what is typed here, and not what is in the environment variable LOGQ_TOKEN.",
        ),
    ] = None,
    max_k: Annotated[int, typer.Option(metavar="N", min=1, help="Largest k of a request.")] = 1000,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.001, help="Time for a request to arrive, and to be answered.")
    ] = 10.0,
    batch_rows: Annotated[
        int, typer.Option(metavar="N", min=1, help="Maximum number of requests that are answered together.")
    ] = 64,
    batch_wait: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=0, max=1, help="How long a batch waits for more, while several clients ask at once."
        ),
    ] = 0.002,
    reload: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0, help="Seconds between two looks at the folder; 0 never looks again."),
    ] = 1.0,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Serve a recommender, word vectors or a language model over HTTP. Needs the extra `serve`.

    Recommenders answer /recommend, /similar and /score, word vectors /neighbors and /score, language models /next,
    /score and /generate; /docs has a page to try them, /openapi.json the same for programs, /health what is served, and
    /metrics numbers for Prometheus. A folder that is replaced is loaded while the old model answers, and takes its
    place without a lost request. Ctrl-C and SIGTERM finish what runs.
    """
    from logq.serving import ServingLimits, create_app
    from logq.serving.application import check_serving

    check_serving("uvicorn")
    limits = ServingLimits(k=max_k, seconds=timeout, rows=batch_rows, wait=batch_wait)
    try:
        app = create_app(model, index=index or (), device=device, limits=limits, token=token, reload_seconds=reload)
    except BadArgumentError as error:
        raise BadInputError(error.message(f"--{error.name}")) from error
    listening = listen(host, port)
    address, where = listening.getsockname(), address_of(listening)
    if not ipaddress.ip_address(address[0].partition("%")[0]).is_loopback:
        guard = "whoever has the token" if token else "everybody who reaches this machine; --token keeps others out"
        note(f"listening on {host} answers {guard}. Traffic is not encrypted.")
    if not quiet:
        say("Listening on ", (where, "bold"), f" ({where}/docs to try it). Ctrl-C ends it. For example:")
        say(f"  {_curl(app, where, token)}")
    run_app(app, listening)
    if not quiet:
        say("Everything that was asked is answered.")


def _curl(app: "FastAPI", where: str, token: str | None) -> str:
    """A line that asks the first question of the application."""
    paths: dict[str, Any] = app.openapi()["paths"]
    path, route = next((path, route["post"]) for path, route in paths.items() if "post" in route)
    (example,) = route["requestBody"]["content"]["application/json"]["examples"].values()
    body = json.dumps(example["value"], ensure_ascii=False)
    line = shlex.join(["curl", f"{where}{path}", "-H", "Content-Type: application/json", "-d", body])
    return f'{line} -H "Authorization: Bearer $LOGQ_TOKEN"' if token else line
