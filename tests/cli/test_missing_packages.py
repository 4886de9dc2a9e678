"""A package that is missing is named with its command before any work: here nothing could even be loaded."""

import json
import sys

import pytest

from logq import Interactions, YoutubeDNN

COMMANDS = {
    "index {empty} --to duckdb:{new}": ("duckdb", "duckdb"),
    "index {empty} --to lancedb:{new}": ("lancedb", "lancedb"),
    "index {empty} --to milvus:{new}": ("pymilvus", "milvus"),
    "index {empty} --to postgresql://me@localhost/shop": ("psycopg", "postgres"),
    "index {empty} --to qdrant:http://localhost:6333": ("qdrant_client", "qdrant"),
    "index {empty} -o {new} --kind usearch": ("usearch", "usearch"),
    "index {empty} -o {new} --kind hnswlib": ("hnswlib", "hnswlib"),
    "push {empty} me/shop": ("huggingface_hub", "hub"),
    "map {empty} --parquet {new}": ("polars", "logs"),
    "map {empty} --layout tsne": ("openTSNE", "map"),
    "explore {empty} --export {new} --layout tsne": ("openTSNE", "map"),
    "explore {empty} --layout tsne": ("openTSNE", "map"),
    "explore {empty}": ("uvicorn", "serve"),
    "serve {empty}": ("prometheus_client", "serve"),
    "serve {empty} --port 0": ("uvicorn", "serve"),
    "serve {empty} --index {index}": ("faiss", "faiss"),
    "recommend {empty} --user ann --index {index}": ("faiss", "faiss"),
    "similar {empty} tea --index {index}": ("faiss", "faiss"),
    "recommend {empty} --all -o {new}.parquet": ("polars", "logs"),
    "recommend {empty} --user ann --new-items {log}": ("polars", "logs"),
    "similar {empty} tea --new-items {log}": ("polars", "logs"),
    "score {empty} --pairs {log}": ("polars", "logs"),
    "score {empty} --user ann --item tea -o {new}.csv": ("polars", "logs"),
    "tune sasrec {log} -o {new}": ("optuna", "tune"),
    "diagnose {empty} --figure {new}.png": ("matplotlib", "plot"),
    "prepare {log} -o {new}": ("duckdb", "duckdb"),
    "prepare {log} -o {new} --engine spark": ("pyspark", "spark"),
    "prepare {log} -o {new} --engine ray": ("ray", "ray"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_package_is_said_first(logq, tmp_path, monkeypatch, command):
    module, extra = COMMANDS[command]
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.chdir(tmp_path)
    places = {name: tmp_path / name for name in ("empty", "new", "index", "log")}
    places["empty"].mkdir()
    places["index"].mkdir()
    (places["index"] / "index.safetensors").write_bytes(b"")
    (places["index"] / "made_of.json").write_text(json.dumps({"kind": "faiss-hnsw"}))
    places["log"].write_text("user,item\nann,tea\nbob,tea\n")
    code, out, err = logq(*(word.format(**places) for word in command.split()))
    assert (code, out) == (2, "")
    assert f"needs {module.replace('_', '-')}" in err
    assert f"pip install 'logq[{extra}]'" in err
    assert err.count("\n") == 1
    assert not places["new"].exists()


@pytest.mark.parametrize("typed", [[], ["--format", "onnx"]])
def test_an_export_needs_its_library_before_the_model_is_loaded(logq, tmp_path, monkeypatch, typed):
    def refused(_):
        raise AssertionError("loaded")

    log = Interactions.from_sessions([["tea", "milk", "cup"], ["milk", "cup", "tea"]] * 4)
    YoutubeDNN(dim=4, hidden=(4,), epochs=1, seed=1).fit(log, progress=False).save(tmp_path / "model")
    monkeypatch.setattr("logq.cli.commands.export.open_model", refused)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    code, _, err = logq("export", tmp_path / "model", "-o", tmp_path / "new", *typed)
    assert (code, err) == (2, "Error: export needs onnxscript: pip install 'logq[onnx]'\n")
    code, _, err = logq("export", tmp_path / "model", "-o", tmp_path / "new", "--format", "arpa")
    assert code == 2
    assert "--format: expected one of those that YoutubeDNN has: onnx, arrays, projector, got arpa" in err


def test_a_model_is_not_saved_for_a_hub_that_cannot_be_asked(monkeypatch):
    def refused(*_, **__):
        raise AssertionError("saved")

    monkeypatch.setattr(YoutubeDNN, "save", refused)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModuleNotFoundError, match=r"the Hugging Face Hub needs huggingface-hub"):
        YoutubeDNN().push_to_hub("me/shop")
