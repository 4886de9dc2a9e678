"""`logq explore` as it is typed: a page over HTTP, and one in a file."""

import inspect
import re
import signal
import socket
import subprocess
import sys

import pytest

from logq.cli.commands.explore import explore
from logq.explorer.explorer_page import TOP
from serving_process import Service


def test_a_page_is_served_to_this_machine_until_a_signal(model):
    service = Service(
        ["-m", "logq", "explore", model, "--port", "0", "--layout", "pca"], pattern=r"Open (http://127.0.0.1:\d+) in"
    )
    try:
        page = service.client.get("/")
        assert "Item number 3" in page.text
        assert "<title>model</title>" in page.text
        assert service.ask("/recommend", history=["i1", "i2"], k=1)["items"][0]["title"].startswith("Item number")
        assert service.end(signal.SIGINT) == (0, "")
    finally:
        service.end(signal.SIGKILL)


def test_a_file_says_how_large_it_is(logq, vectors, tmp_path):
    path = tmp_path / "page.html"
    code, out, err = logq("explore", vectors, "--export", path, "--layout", "pca", "--title", "Mine")
    assert (code, err) == (0, "")
    assert re.fullmatch(rf"{path}: 6 words, laid out by principal components, [\d.]+ kB. Open it in a browser.\n", out)
    assert "<h1>Mine</h1>" in path.read_text(encoding="utf-8")
    assert logq("explore", vectors, "--export", path, "--layout", "pca", "-q") == (0, "", "")


def test_the_number_of_points_is_the_library_s():
    assert inspect.signature(explore).parameters["top"].default == TOP


def test_what_has_no_page_is_told_in_a_line(logq, vectors, model, counted, tmp_path):
    def told(*words):
        code, out, err = logq("explore", *words)
        assert (code, out) == (2, "")
        return err

    page = tmp_path / "page.html"
    assert "there is no such file or folder" in told(tmp_path / "nothing", "--export", page)
    assert "BESIDE: expected a model of words, as the first one" in told(vectors, model, "--export", page)
    assert "MODEL: expected word vectors or a recommender" in told(counted, "--export", page)
    assert "there is no folder" in told(vectors, "--export", tmp_path / "nowhere" / "page.html")
    assert not page.exists()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"--port: 127.0.0.1:{port} cannot be listened on" in told(vectors, "--port", port)


def test_ctrl_c_leaves_the_old_page(logq, vectors, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    path = tmp_path / "page.html"
    path.write_text("old")
    monkeypatch.setattr("logq.explorer.explorer_page.arrange", interrupted)
    assert logq("explore", vectors, "--export", path) == (130, "", f"Interrupted: {path} is as it was before.\n")


@pytest.mark.parametrize("word", ["--host", "--token"])
def test_others_are_never_let_in(logq, vectors, word):
    assert logq("explore", vectors, word, "x")[0] == 2


def test_without_the_extra_a_file_can_be_written_all_the_same(vectors, tmp_path):
    program = f"""
import sys
sys.modules["fastapi"] = None
from logq.cli import main
words = ["explore", {str(vectors)!r}, "--layout", "pca", "-q"]
sys.exit(10 * main([*words, "--port", "0"]) + main([*words, "--export", {str(tmp_path / "page.html")!r}]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 20, done.stderr
    assert "pip install 'logq[serve]'" in done.stderr
    assert (tmp_path / "page.html").exists()
