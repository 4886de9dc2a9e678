import json

from logq.doctor import Examination
from logq.doctor.extra_uses import Extra
from logq.doctor.installation import Fact
from logq.doctor.trials import Attempt
from logq.doctor.troubles import Trouble

ILL = Examination(
    [Fact("torch", "2.13.0")],
    [],
    [Attempt("files", "OSError: full"), Attempt("word vectors", "")],
    [
        Extra("hub", ("logq push",), ("huggingface-hub",), "pip install 'logq[hub]'"),
        Extra("map", ("logq map",), (), ""),
    ],
    [],
    [Trouble("error", "the disk is full", "make room")],
)


def test_it_says_what_is_wrong_and_ends_with_1(logq, monkeypatch):
    monkeypatch.setattr("logq.doctor.examine", lambda: ILL)
    code, out, err = logq("doctor")
    assert (code, err) == (1, "")
    for line in (
        "  torch  2.13.0",
        "  files         OSError: full",
        "  hub  missing    logq push: pip install 'logq[hub]'",
        "  map  installed  logq map",
        "Error: the disk is full",
        "  make room",
    ):
        assert line in out.splitlines()
    assert "Something that a plain user needs does not work." in out
    assert "troubleshooting" in out


def test_json_has_all_of_it(logq, monkeypatch, tmp_path):
    monkeypatch.setattr("logq.doctor.examine", lambda: ILL)
    assert logq("doctor", "--json", tmp_path / "doctor.json")[0] == 1
    found = json.loads((tmp_path / "doctor.json").read_text())
    assert found == json.loads(json.dumps(ILL.as_dict()))
    assert found["extras"][0]["missing"] == ["huggingface-hub"]
    assert found["works"] is False


def test_here_all_is_well(logq):
    code, out, err = logq("doctor")
    assert (code, err) == (0, "")
    assert out.endswith("All that a plain user needs works.\n")
    assert "  word vectors     works\n" in out
