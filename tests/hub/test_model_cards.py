"""Cards: everything that they promise is there, nobody's name is, and the hub's own parser reads them."""

import json
import re
from pathlib import Path

import pytest

from logq import ALS, EASE, ArgumentError, ArgumentTypeError, Interactions, KeyedVectors, NGram, Word2Vec, load
from logq.evaluation import AnalogyResult, AnalogySection, Correlation, Likelihood, SimilarityResult
from logq.hub import Card
from logq.hub.model_cards import CardMetric, card_text, measured
from logq.training.model_display import best_epoch
from recommender_cases import fitted, make, planted_split

TEXT = [["so", "far", "so", "good"], ["so", "good"]] * 9


def parsed(folder: Path):
    """The front matter of a card, as huggingface_hub reads it, and the text below."""
    hub = pytest.importorskip("huggingface_hub")
    card = hub.ModelCard.load(folder / "README.md")
    return card.data, card.text


def rows(text: str, title: str) -> dict[str, list[str]]:
    """A table of a card, by the first column."""
    lines = text.split(f"## {title}\n", 1)[1].split("\n## ")[0].splitlines()
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines if line.startswith("|")]
    return {row[0]: row[1:] for row in cells}


def test_a_recommender_tells_all_but_who_its_users_are(tmp_path):
    split = planted_split()
    model = make("YoutubeDNN", epochs=2, dropout="auto").fit(split, progress=False)
    scores = model.evaluate(split, ks=(5,))
    mine = Card({"the last event": scores}, "A *shop*.", "mit", ["en"], ["tea"], "me/shop", "2026-01-02")
    model.save(tmp_path, users=False, card=mine)
    data, text = parsed(tmp_path)
    assert (data.library_name, data.license, data.language, data.pipeline_tag) == ("logq", "mit", ["en"], None)
    assert {"recommendation", "youtubednn", "tea"} <= set(data.tags)
    (result,) = [one for one in data.eval_results if one.metric_name == "NDCG@5"]
    assert (result.dataset_name, result.metric_value) == ("the last event", scores["NDCG@5"])
    assert text.strip().startswith("# me/shop\n\nA *shop*.\n")
    origin = rows(text, "Where it comes from")
    assert origin["fingerprint of the data"] == [f"`{split.train.fingerprint()}`"]
    assert origin["trained by"][0].startswith("logq 0.")
    assert origin["this card"][0].startswith("2026-01-02, by logq 0.")
    assert (origin["items"], origin["users in these files"]) == (["20"], ["none"])
    settings = rows(text, "Settings")
    assert settings["dim"] == ["16", ""]
    assert settings["dropout"] == [str(model.dropout), f"chosen: {model.chosen['dropout'].reason}"]
    assert json.loads(re.search(r"```json\n(.*?)\n```", text, re.S)[1]) == model.settings()
    best = best_epoch(model.training_log)
    assert f"best after epoch {best.epoch} of {best.last}:" in text
    measures = rows(text, "How good it is")
    assert measures["ndcg@10"] == [f"{best.metrics['ndcg@10']:.4g}"]
    low, high = scores.intervals["NDCG@5"]
    assert measures["NDCG@5"] == [f"{scores['NDCG@5']:.4g}", f"{low:.4g} to {high:.4g}"]
    users = [str(user) for user in split.log.user_ids.keys]
    assert users[7] == "u7"
    assert not re.findall(r"\bu\d+\b", text)


def test_its_lines_of_python_run(tmp_path, capsys):
    fitted("EASE").save(tmp_path / "recommender", card=True)
    Word2Vec(4, min_count=1, sample=0, seed=1).fit(TEXT, progress=False).save(tmp_path / "word2vec", card=True)
    KeyedVectors(["it's", "b"], [[1.0], [2.0]]).save(tmp_path / "words", card=True)
    NGram(2, "add_k").fit(TEXT, progress=False).save(tmp_path / "lm", card=True)
    for folder in sorted(tmp_path.iterdir()):
        _, text = parsed(folder)
        code = re.search(r"```python\n(.*?)\n```", text, re.S)[1]
        assert '"path/of/this/folder"' in code
        exec(code.replace("path/of/this/folder", str(folder)), {})
        assert capsys.readouterr().out


def test_users_that_are_in_the_files_are_counted(tmp_path):
    log = Interactions.from_arrays(["ann", "bob", "bob"], ["tea", "tea", "cup"])
    EASE().fit(log).save(tmp_path, card=True)
    _, text = parsed(tmp_path)
    assert rows(text, "Where it comes from")["users in these files"][0].startswith("2, with their ids and histories")
    assert not re.search(r"\b(ann|bob)\b", text)


@pytest.mark.parametrize("case", ["ease", "als", "word2vec", "ngram"])
def test_origin_and_reasons_outlive_a_file(tmp_path, case):
    model = {
        "ease": lambda: EASE().fit(planted_split().train),
        "als": lambda: ALS(dim=4, epochs=1, seed=1).fit(planted_split().train, progress=False),
        "word2vec": lambda: Word2Vec(4, min_count=1, seed=1, sample=0).fit(TEXT, progress=False),
        "ngram": lambda: NGram(2, "add_k").fit(TEXT, progress=False),
    }[case]()
    model.save(tmp_path / "a")
    again = load(tmp_path / "a")
    assert again.origin == model.origin
    assert len(model.origin["data"]) == 32
    assert {name: (one.value, one.reason) for name, one in again.chosen.items()} == {
        name: (one.value, one.reason) for name, one in model.chosen.items()
    }
    again.save(tmp_path / "b")
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()


def test_other_data_have_another_fingerprint():
    assert NGram(2, "add_k").fit(TEXT, progress=False).origin == NGram(3, "add_k").fit(TEXT, progress=False).origin
    assert NGram(2, "add_k").fit(TEXT[1:], progress=False).origin != NGram(2, "add_k").fit(TEXT, progress=False).origin
    log = planted_split().train
    assert EASE().fit(log).origin == {**fitted("EASE").origin, "data": log.fingerprint()}


def test_a_file_of_another_is_not_replaced(tmp_path):
    (tmp_path / "README.md").write_text("# My project\n")
    words = KeyedVectors(["a"], [[1.0]])
    with pytest.raises(ArgumentError, match=r"card: expected False, as .*README.md is no model card"):
        words.save(tmp_path, card=True)
    with pytest.raises(ArgumentError, match="card: expected False"):
        fitted("EASE").save(tmp_path, card=Card())
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    words.save(tmp_path / "own", card=True)
    words.save(tmp_path / "own", card=Card(about="Twice."))
    assert "Twice." in (tmp_path / "own" / "README.md").read_text()
    words.save(tmp_path / "none")
    assert not (tmp_path / "none" / "README.md").exists()


def test_text_stays_text(tmp_path):
    """Words and names can hold what Markdown, YAML and Python read otherwise."""
    word = 'a|b\n---\n"`<script>'
    words = KeyedVectors([word], [[1.0]])
    words.save(tmp_path, {"note": word}, card=Card({"a: b\n- c": {"x": 1.0}}, tags=["a: b", "yes"]))
    data, text = parsed(tmp_path)
    assert data.tags[-2:] == ["a: b", "yes"]
    assert data.eval_results[0].dataset_name == "a: b\n- c"
    assert "<script>" not in text.split("```json")[0].split("## Where")[1]
    assert rows(text, "Settings")["note"][0].startswith("'a\\|b")


def test_yaml_reads_what_json_means(tmp_path):
    yaml = pytest.importorskip("yaml")
    odd = ["a\x7fb", "a\x85b", "a\u2028b", "\ufeffa", "\U0001f600", "\ufffe", "\x9b1m", 'x" 1e-05', "1e-05\\"]
    numbers = {"tiny": 1e-05, "small": 1.5e-07, "huge": 1e22, "half": 0.5, "below": -2e-09}
    KeyedVectors(["a"], [[1.0]]).save(tmp_path, card=Card({"test": numbers}, tags=odd))
    read = yaml.safe_load((tmp_path / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert read["tags"][-len(odd) :] == odd
    (result,) = read["model-index"][0]["results"]
    assert {one["name"]: one["value"] for one in result["metrics"]} == numbers


@pytest.mark.parametrize("library", ["sentence-transformers", "logq-fork", '"transformers"'])
def test_a_card_of_another_library_is_not_replaced(tmp_path, library):
    (tmp_path / "README.md").write_text(f"---\nlibrary_name: {library}\n---\n# Mine, beside logq\n")
    with pytest.raises(ArgumentError, match="card: expected False"):
        KeyedVectors(["a"], [[1.0]]).save(tmp_path, card=True)
    (tmp_path / "README.md").write_text("---\nlicense: mit\nlibrary_name: logq\n---\n")  # as the hub may write it anew
    KeyedVectors(["a"], [[1.0]]).save(tmp_path, card=True)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"NDCG@10": 0.5, "users": 3, "name": "x"}, [("NDCG@10", 0.5), ("users", 3.0)]),
        (SimilarityResult(Correlation(0.5, 0.1), Correlation(0.25, 0.2), 9, 1), [("coefficient, pearson", 0.5)]),
        (AnalogyResult("3cosadd", (AnalogySection("capitals", 1, 4, 0),)), [("accuracy, capitals", 0.25)]),
        (Likelihood(-2.0, 2, 1), [("cross_entropy", 1.0)]),
    ],
)
def test_results_of_every_evaluation_become_metrics(result, expected):
    found = {(one.name, one.value) for one in measured(result)}
    assert set(expected) <= found


def test_arguments_of_a_card_are_checked():
    with pytest.raises(
        ArgumentTypeError, match=r"scores\['test'\]: expected what evaluate returned, or numbers by name"
    ):
        Card({"test": "good"})
    with pytest.raises(ArgumentError, match=r"scores\['test'\]: expected numbers by name, .*, got {'a': 'b'}"):
        Card({"test": {"a": "b"}})
    with pytest.raises(ArgumentTypeError, match="tags: expected a list of strings"):
        Card(tags=[1])
    with pytest.raises(ArgumentTypeError, match="card: expected True, False or a Card, got 'yes'"):
        KeyedVectors(["a"], [[1.0]]).save("nowhere", card="yes")


def test_numbers_without_a_value_are_left_out_of_the_front_matter():
    facts = KeyedVectors(["a"], [[1.0]])._card_facts()
    text = card_text(facts, Card({"test": {"perplexity": float("inf")}}))
    assert "model-index" not in text
    assert "| perplexity | inf |" in text
    assert CardMetric("x", 1.0).low != CardMetric("x", 1.0).low
