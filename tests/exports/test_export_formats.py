"""Every format is read back by what it is for, or by its loader of ours; the service of the docs runs without torch."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from logq import EASE, ArgumentError, Interactions, KeyedVectors, NGram, Word2Vec
from logq.exports import FORMATS, export_model
from logq.exports.export_formats import formats_for
from logq.logs import Features
from logq.recommenders import Recommender
from recommender_cases import ALL, fitted, make, planted_log

ROOT = Path(__file__).parents[2]
TEXT = [["so", "far", "so", "good"], ["so", "good"]] * 9
WORDS = KeyedVectors(["tea", "cup", "new york"], [[1.0, 2.0], [0.5, 0.25], [3.0, 1.0]], [9, 3, 1])


def service_of_the_page() -> str:
    """The service as docs/exports.md has it, up to where it asks its example."""
    programs = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "exports.md").read_text(), re.S | re.M)
    (found,) = [program for program in programs if "onnxruntime" in program]
    return found.partition('service = Recommender("service")')[0]


def ask_service(folder: Path, questions: list[dict]) -> list[list[list]]:
    """What a process answers that may import onnxruntime and NumPy, and neither torch nor logq."""
    code = f"""
import sys
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "logq", "pandas", "onnx"):
            raise ImportError("no " + name)
sys.meta_path.insert(0, Refused())
{service_of_the_page()}
asked = Recommender({str(folder)!r})
print(json.dumps([asked.recommend(**one) for one in json.loads(sys.stdin.read())]))
assert not {{"torch", "logq"}} & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(questions), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def compare(model: Recommender, answers, histories) -> None:
    for history, answer in zip(histories, answers, strict=True):
        ours = model.recommend(histories=history, k=len(answer))
        np.testing.assert_allclose([score for _, score in answer], ours.scores, rtol=1e-4, atol=1e-5)
        assert [item for item, _ in answer] == ours.items.tolist()


@pytest.mark.parametrize(
    "name", ["YoutubeDNN", pytest.param("MIND", marks=pytest.mark.slow), pytest.param("SASRec", marks=pytest.mark.slow)]
)
def test_the_service_of_the_page_answers_as_the_model_does(name, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model = fitted(name)
    assert export_model(model, tmp_path / "service", titles=[f"Item {item}" for item in model.item_ids]) == "onnx"
    names = {file.name for file in (tmp_path / "service").iterdir()}
    assert names == {"query.onnx", "items.npy", "item_ids.json", "titles.json", "service.json", "export.json"}
    assert json.loads((tmp_path / "service" / "titles.json").read_text())[0] == f"Item {model.item_ids[0]}"
    histories = [[100, 107], [111], [119, 106, 113, 100]]
    answers = ask_service(tmp_path / "service", [{"history": history, "k": 4} for history in histories])
    compare(model, answers, histories)


@pytest.mark.slow
def test_features_and_context_have_their_codes_in_the_service(tmp_path):
    pytest.importorskip("onnxruntime")
    log = planted_log()
    devices = ["phone" if row % 3 else "tv" for row in range(len(log))]
    named = Interactions.from_arrays(
        log.user_ids.keys[log.users], log.item_ids.keys[log.items], log.timestamps, columns={"device": devices}
    )
    users = [f"u{user}" for user in range(60)]
    about = {
        "user": users,
        "age": [float(user) for user in range(60)],
        "country": [f"c{user % 2}" for user in range(60)],
    }
    about["likes"] = [["g1"] if user % 2 else ["g1", "g2"] for user in range(60)]
    named = named.with_features(users=Features.from_frame(about, named.user_ids, buckets={"age": 4}))
    model = make("YoutubeDNN", context=["device"], epochs=2).fit(named, progress=False)
    export_model(model, tmp_path / "service")
    known = {"user.country": "c1", "user.age": 33.0, "user.likes": ["g2"], "context.device": "tv"}
    (answer, plain) = ask_service(
        tmp_path / "service", [{"history": [100, 107], "k": 3, "known": known}, {"history": [100, 107], "k": 3}]
    )
    ours = model.recommend(
        histories=[[100, 107]],
        k=3,
        user_features={"country": ["c1"], "age": [33.0], "likes": [["g2"]]},
        context={"device": ["tv"]},
    )
    np.testing.assert_allclose([score for _, score in answer], ours.scores[0], rtol=1e-4, atol=1e-5)
    assert [item for item, _ in answer] == ours.items[0].tolist()
    assert answer != plain
    assert not [file for file in (tmp_path / "service").iterdir() if b"u59" in file.read_bytes()]


def test_arrays_have_what_a_model_ranks_and_compares_by(tmp_path):
    model = fitted("ALS")
    export_model(model, tmp_path, "arrays", titles=["x"] * 20)
    items, similar = np.load(tmp_path / "items.npy"), np.load(tmp_path / "similar.npy", mmap_mode="r")
    ids = json.loads((tmp_path / "item_ids.json").read_text())
    assert ids == model.item_ids.tolist()
    query = model.query_vectors(histories=[[100, 107]])[0]
    scores = items @ query
    scores[[ids.index(100), ids.index(107)]] = -np.inf
    assert ids[int(scores.argmax())] == model.recommend(histories=[[100, 107]], k=1).items[0, 0]
    assert np.array_equal(similar, model.item_vectors)
    assert np.array_equal(np.load(tmp_path / "counts.npy"), model.known.item_counts())


def test_words_go_into_every_format_of_words(tmp_path):
    trained = Word2Vec(4, min_count=1, sample=0, seed=1).fit(TEXT, progress=False)
    for one in FORMATS:
        if "word vectors" in one.families:
            assert export_model(trained, tmp_path / one.name, one.name) == one.name
    expected = trained.vectors
    assert np.array_equal(np.load(tmp_path / "arrays" / "vectors.npy"), expected.vectors)
    assert json.loads((tmp_path / "arrays" / "words.json").read_text()) == expected.index_to_key
    for file in ("word2vec/vectors.txt", "word2vec-binary/vectors.bin", "fasttext/model.bin"):
        read = KeyedVectors.load(tmp_path / file)
        assert read.index_to_key == expected.index_to_key
        np.testing.assert_allclose(read.vectors, expected.vectors, rtol=1e-6)
    table = (tmp_path / "projector" / "vectors.tsv").read_text().splitlines()
    np.testing.assert_allclose(
        [[float(cell) for cell in row.split("\t")] for row in table], expected.vectors, rtol=1e-5
    )
    assert (tmp_path / "projector" / "metadata.tsv").read_text().splitlines()[:2] == ["name\tcount", "so\t27"]
    assert (tmp_path / "static-embedding" / "tokenizer.json").exists()


def test_a_table_of_words_without_counts_has_no_line_of_names(tmp_path):
    export_model(KeyedVectors(["a\tb", "c"], [[1.0], [2.0]]), tmp_path, "projector")
    assert (tmp_path / "metadata.tsv").read_text() == "a b\nc\n"


def test_ngrams_become_an_arpa_file(tmp_path):
    model = NGram(2, "add_k").fit(TEXT, progress=False)
    assert export_model(model, tmp_path) == "arpa"
    assert NGram.from_arpa(tmp_path / "model.arpa").score("so good") == pytest.approx(model.score("so good"), abs=1e-5)


def test_every_model_has_a_format_or_says_that_it_has_none():
    for name, fit in ALL.items():
        model = fit()
        expected = ["onnx"] if hasattr(model, "export") else []
        expected += ["arrays", "projector"] if model.has_vectors else []
        assert [one.name for one in formats_for(model)] == expected, name


def test_refusals_name_what_there_is(tmp_path):
    with pytest.raises(ArgumentError, match=r"model: expected one that another program can read, got EASE; .*serve"):
        export_model(fitted("EASE"), tmp_path / "a")
    with pytest.raises(ArgumentError, match="format: expected one of those that ALS has: arrays, projector, got onnx"):
        export_model(fitted("ALS"), tmp_path / "a", "onnx")
    with pytest.raises(ArgumentError, match=r"format: expected one of onnx, static-embedding, .*, got 'pickle'"):
        export_model(WORDS, tmp_path / "a", "pickle")
    with pytest.raises(AttributeError, match="EASE: it has learned nothing yet, call fit first"):
        export_model(EASE(), tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_only_an_earlier_export_is_replaced(tmp_path):
    WORDS.save(tmp_path / "model")
    with pytest.raises(ArgumentError, match="folder: expected an empty folder, or one with an earlier export"):
        export_model(WORDS, tmp_path / "model", "arrays")
    assert sorted(file.name for file in (tmp_path / "model").iterdir()) == ["vectors.json", "vectors.safetensors"]
    for _ in range(2):
        export_model(WORDS, tmp_path / "out", "arrays")
    assert json.loads((tmp_path / "out" / "export.json").read_text())["format"] == "arrays"


def test_nothing_of_an_earlier_export_stays(tmp_path):
    """Titles of other items would be shown, and users be there whom the new model does not have."""
    export_model(fitted("ALS"), tmp_path, "arrays", titles=["x"] * 20)
    (tmp_path / "own.txt").write_text("mine")
    export_model(fitted("ALS"), tmp_path, "arrays")
    kept = ["counts.npy", "export.json", "item_ids.json", "items.npy", "own.txt", "similar.npy"]
    assert sorted(file.name for file in tmp_path.iterdir()) == kept
    export_model(WORDS, tmp_path, "projector")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["export.json", "metadata.tsv", "own.txt", "vectors.tsv"]
    assert json.loads((tmp_path / "export.json").read_text())["files"] == ["metadata.tsv", "vectors.tsv"]


def test_only_files_of_the_folder_itself_are_taken_away(tmp_path):
    (tmp_path / "own.txt").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "export.json").write_text(json.dumps({"files": ["../own.txt", "a/b", 3, "vectors.txt"]}))
    export_model(WORDS, tmp_path / "out", "arrays")
    assert (tmp_path / "own.txt").exists()
