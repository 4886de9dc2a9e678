import signal
import socket

import pytest

from serving_process import Service

PROGRAM = """
import sys
import uvicorn
from fastapi import FastAPI
from logq.serving import create_app

app = FastAPI()
for place in sys.argv[2:]:
    name, folder, *indexes = place.split("|")
    app.mount(f"/{name}", create_app(folder, index=indexes))
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
"""


@pytest.fixture(scope="session")
def begun():
    """Services that end with the tests, at the latest."""
    services = []
    yield services
    for service in services:
        service.end(signal.SIGKILL)


@pytest.fixture(scope="session")
def start(begun):
    """Start `logq serve` with words: a Service."""

    def begin(*words, **environment):
        begun.append(Service(["-m", "logq", "serve", "--port", "0", *words], **environment))
        return begun[-1]

    return begin


@pytest.fixture(scope="session")
def mount(begun, tmp_path_factory):
    """Start one process with several models, each mounted under its name: {name: "folder" or "folder|index"}."""

    def begin(places):
        program = tmp_path_factory.mktemp("program") / "several_models.py"
        program.write_text(PROGRAM)
        port = unused()
        words = [program, port, *(f"{name}|{place}" for name, place in places.items())]
        begun.append(Service(words, f"http://127.0.0.1:{port}"))
        begun[-1].until(lambda told: told["status"] == "ok", f"/{next(iter(places))}/health")
        return begun[-1]

    return begin


@pytest.fixture(scope="session")
def free_port():
    """A function that gives a port that nobody listens on."""
    return unused


def unused():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]
