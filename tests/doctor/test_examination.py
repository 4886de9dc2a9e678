"""The parts of an examination: facts, extras and variables."""

import re
from pathlib import Path

import logq
from logq._project import Needed
from logq.cli.app import app
from logq.doctor import Examination, environment
from logq.doctor.environment import VARIABLES, variables_that_are_set
from logq.doctor.extra_uses import FOR_DEVELOPERS, USES, look_at_extras
from logq.doctor.installation import kernels_that_run, versions
from logq.doctor.trials import TRIALS, Attempt, run_trials
from logq.doctor.troubles import Trouble
from test_project import PROJECT, installed  # noqa: F401


def test_facts_name_what_is_here():
    facts = dict(versions())
    assert facts["logq"].endswith(str(Path(logq.__file__).parent))
    assert re.match(r"2\.\d+.*, for (CPUs|CUDA [\d.]+), (1 thread|\d+ threads)$", facts["torch"])
    assert facts["compiled core"].endswith("generic")
    kernels = dict(kernels_that_run())
    assert kernels["cpu"].startswith("cpp: negative_sampling, nce")
    assert kernels["word2vec"] == "the compiled engine"


def test_a_fact_that_cannot_be_had_is_said_in_its_place(monkeypatch):
    def broken():
        raise OSError("libtorch_cpu.so: cannot open\nshared object")

    monkeypatch.setattr("logq.doctor.installation._torch", broken)
    assert dict(versions())["torch"] == "not available: OSError: libtorch_cpu.so: cannot open shared object"


def test_every_extra_for_users_says_what_it_is_for():
    for_users = set(PROJECT["optional-dependencies"]) - FOR_DEVELOPERS
    assert for_users == set(USES)
    commands = {words for uses in USES.values() for use in uses for words in re.findall(r"\blogq ([a-z]+)", use)}
    assert commands >= {"map", "tune", "serve", "push", "export", "index"}
    assert commands <= set(app.members)


def test_what_an_extra_lacks_is_named_with_the_line_that_installs_it(installed, monkeypatch):  # noqa: F811
    extras = {one.name: one for one in look_at_extras()}
    assert extras["logs"].missing == ()
    assert extras["logs"].install == ""
    assert not set(extras) & FOR_DEVELOPERS
    monkeypatch.setattr("logq.doctor.extra_uses._is_here", lambda needed: needed.name != "uvicorn")
    serve = next(one for one in look_at_extras() if one.name == "serve")
    assert (serve.missing, serve.install) == (("uvicorn",), "pip install 'logq[serve]'")


def test_a_package_of_an_extra_that_is_too_old_counts_as_missing(monkeypatch):
    monkeypatch.setattr("logq.doctor.extra_uses.extras", lambda: {"hub": [Needed("numpy", ">=99"), Needed("rich", "")]})
    (hub,) = look_at_extras()
    assert (hub.missing, hub.install) == (("numpy",), "pip install 'logq[hub]'")


def test_variables_are_shown_and_secrets_are_not(monkeypatch):
    for one in VARIABLES:
        monkeypatch.delenv(one.name, raising=False)
    monkeypatch.setenv("LOGQ_TOKEN", "sesame")
    monkeypatch.setenv("HF_ENDPOINT", "https://me:sesame@hub.example/a")
    shown = {one.name: one.value for one in variables_that_are_set()}
    assert shown == {"LOGQ_TOKEN": "(set, not shown)", "HF_ENDPOINT": "https://me:...@hub.example/a"}


def test_every_variable_of_ours_is_in_the_table():
    source = Path(logq.__file__).parent
    named = {
        name
        for path in source.rglob("*.py")
        if path.name != Path(environment.__file__).name
        for name in re.findall(r"""["'](LOGQ_[A-Z_]+|[A-Z_]+_(?:TOKEN|KEY))["']""", path.read_text(encoding="utf-8"))
    }
    assert named >= {"LOGQ_DEBUG", "LOGQ_TOKEN", "LOGQ_PROCESS_TIMEOUT", "QDRANT_API_KEY"}
    assert named <= {one.name for one in VARIABLES}
    page = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    assert not [one.name for one in VARIABLES if one.is_secret and one.name not in page]


def test_trials_work_here_and_a_failing_one_does_not_stop_the_others(monkeypatch):
    assert {trial.error for trial in run_trials()} == {""}

    def fails():
        raise ValueError("no\nway")

    monkeypatch.setitem(TRIALS, "word vectors", fails)
    assert [trial.error for trial in run_trials()] == ["ValueError: no way", "", "", ""]


def test_it_works_where_no_trial_fails_and_no_error_is_found():
    def examination(error="", level="warning"):
        return Examination([], [], [Attempt("files", error)], [], [], [Trouble(level, "a", "b")])

    assert examination().works
    assert not examination(error="OSError").works
    assert not examination(level="error").works
    assert examination().as_dict()["troubles"] == [{"level": "warning", "what": "a", "remedy": "b"}]
