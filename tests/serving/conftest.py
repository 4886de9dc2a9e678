import os
import re
import signal
import subprocess
import sys
import time

import httpx
import pytest

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


class Service:
    """A process that serves, and a client of it."""

    def __init__(self, words, url="", **environment):
        self.process = subprocess.Popen(
            [sys.executable, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        )
        self.said = ""
        self.url = url or self._told()
        self.client = httpx.Client(base_url=self.url, timeout=60)

    def _told(self):
        for line in self.process.stdout:
            self.said += line
            found = re.match(r"Listening on (http://\S+)", line)
            if found:
                self.said += self.process.stdout.readline()
                return found[1]
        raise AssertionError(self.process.stderr.read())

    def ask(self, path, **body):
        """The answer to a question that has one."""
        response = self.client.post(path, json=body)
        assert response.status_code == 200, response.text
        return response.json()

    def refusal(self, path, status, **body):
        """What is said of a question that has none."""
        response = self.client.post(path, json=body)
        assert response.status_code == status, response.text
        return response.json()["error"]

    def until(self, holds, path="/health", seconds=120):
        """Ask for the health until something holds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                told = self.client.get(path).json()
                if holds(told):
                    return told
            except httpx.TransportError:
                assert self.process.poll() is None, self.process.stderr.read()
            time.sleep(0.1)
        raise AssertionError(self.client.get(path).text)

    def end(self, number=signal.SIGTERM):
        """End it, and return its exit code with what it wrote to standard error."""
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(number)
        out, errors = self.process.communicate(timeout=120)
        self.said += out
        return self.process.returncode, errors


@pytest.fixture(scope="session")
def start():
    """Start `logq serve` with words: a Service."""
    begun = []

    def begin(*words, **environment):
        begun.append(Service(["-m", "logq", "serve", "--port", "0", *words], **environment))
        return begun[-1]

    yield begin
    for service in begun:
        service.end(signal.SIGKILL)


@pytest.fixture(scope="session")
def mount(tmp_path_factory):
    """Start one process with several models, each mounted under its name: {name: "folder" or "folder|index"}."""
    begun = []

    def begin(places):
        program = tmp_path_factory.mktemp("program") / "several_models.py"
        program.write_text(PROGRAM)
        port = free_port()
        words = [program, port, *(f"{name}|{place}" for name, place in places.items())]
        begun.append(Service(words, f"http://127.0.0.1:{port}"))
        begun[-1].until(lambda told: told["status"] == "ok", f"/{next(iter(places))}/health")
        return begun[-1]

    yield begin
    for service in begun:
        service.end(signal.SIGKILL)


def free_port():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]
