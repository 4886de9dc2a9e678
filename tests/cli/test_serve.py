"""`logq serve` as it is typed: what it says, how it ends, and that it starts again after any end."""

import json
import re
import shlex
import signal
import socket
import subprocess
import sys

import httpx
import pytest

from serving_process import Service


@pytest.fixture
def serve():
    """Start it: words -> a Service."""
    begun = []

    def begin(*words, **environment):
        begun.append(Service(["-m", "logq", "serve", *words], **environment))
        return begun[-1]

    yield begin
    for service in begun:
        service.end(signal.SIGKILL)


def test_a_trained_folder_is_served_with_its_log_and_titles(serve, logq, model):
    """The answers are those of `logq recommend`, and the line that is printed can be typed."""
    service = serve(model, "--port", 0)
    typed = shlex.split(service.said.splitlines()[1])
    assert typed[:2] == ["curl", f"{service.url}/recommend"]
    done = subprocess.run(typed, capture_output=True, text=True, check=False) if curl() else None
    assert done is None or '"title":"Item number' in done.stdout
    found = service.ask("/recommend", user="u3", k=3)["items"]
    lines = [line.split("\t") for line in logq("recommend", model, "--user", "u3", "-k", 3)[1].splitlines()]
    assert [[one["item"], one["title"]] for one in found] == [[line[1], line[3]] for line in lines]
    assert [one["score"] for one in found] == pytest.approx([float(line[2]) for line in lines], rel=1e-4)
    assert service.client.get("/health").json()["users"] == 60


def curl():
    import shutil

    return shutil.which("curl")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_finish_what_runs(serve, counted, number):
    service = serve(counted, "--port", 0)
    body = json.dumps({"max_words": 900, "temperature": 2.0, "seed": 1}).encode()
    head = (
        f"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    port = int(service.url.rpartition(":")[2])
    asking = [socket.create_connection(("127.0.0.1", port)) for _ in range(8)]
    for one in asking:
        one.sendall(head.encode() + body)
    assert service.client.get("/health").status_code == 200  # and those before it are there
    code, errors = service.end(number)
    assert (code, errors) == (0, "")
    for one in asking:
        with one:
            assert one.makefile("rb").read().startswith(b"HTTP/1.1 200 OK")
    assert service.said.endswith("Everything that was asked is answered.\n")


def test_it_starts_again_on_the_same_port_after_kill_9(serve, vectors):
    first = serve(vectors, "--port", 0)
    before = first.ask("/neighbors", word="king")
    port = first.url.rpartition(":")[2]
    assert first.end(signal.SIGKILL)[0] == -signal.SIGKILL
    again = serve(vectors, "--port", port)
    assert again.ask("/neighbors", word="king") == before


def test_what_cannot_be_served_is_told_in_a_line(logq, vectors, tmp_path):
    def told(*words):
        code, out, err = logq("serve", *words)
        assert (code, out) == (2, "")
        return err

    assert "there is no such file or folder" in told(tmp_path / "nothing")
    assert "expected a recommender, word vectors or a language model, found none" in told(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"--port: 127.0.0.1:{port} cannot be listened on: Address already in use" in told(
            vectors, "--port", port
        )
    assert "--host: expected an address of this machine, got 'no.such.host.invalid'" in told(
        vectors, "--host", "no.such.host.invalid"
    )
    assert "--token: expected printable ASCII without blanks" in told(vectors, "--token", "a b")
    assert "there is no such index" in told(vectors, "--index", tmp_path / "nothing")


def test_other_hosts_only_when_asked_and_then_it_is_said(serve, vectors):
    service = serve(vectors, "--port", 0, "--host", "0.0.0.0")
    port = service.url.rpartition(":")[2]
    assert httpx.get(f"http://127.0.0.1:{port}/health").json()["status"] == "ok"
    _, errors = service.end()
    assert "listening on 0.0.0.0 answers everybody who reaches this machine" in errors


def test_without_the_extra_the_hint_says_what_to_install(vectors):
    program = f"""
import sys
sys.modules["fastapi"] = None
from logq.cli import main
sys.exit(main(["serve", {str(vectors)!r}]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert re.search(r"pip install 'logq\[serve\]'", done.stderr)
