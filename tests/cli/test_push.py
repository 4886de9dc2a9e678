import json

import pytest

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def test_a_dry_run_shows_the_card_and_sends_nothing(logq, model, tmp_path):
    (tmp_path / "scores.json").write_text(json.dumps({"SASRec": {"values": {"NDCG@10": 0.25}, "users": 60}}))
    (tmp_path / "about.md").write_text("Of **rings**.\n")
    options = [
        "--scores",
        f"the test part={tmp_path / 'scores.json'}",
        "--about",
        tmp_path / "about.md",
        "--tag",
        "ring",
    ]
    code, out, err = logq("push", model, "me/ring", "--dry-run", *options, "--license", "mit", "--language", "en")
    assert (code, err) == (0, "")
    for part in (
        'license: "mit"',
        '"ring"',
        "Of **rings**.",
        "| NDCG@10 | 0.25 |",
        "On the test part:",
        "  titles.json  ",
    ):
        assert part in out
    assert "| users in these files | none |" in out
    assert 'logq.load("hf://me/ring")' in out
    assert "u42" not in out
    assert "| users in these files | 60, with their ids" in logq("push", model, "me/ring", "--dry-run", "--users")[1]


def test_files_of_every_evaluation_are_read(logq, model, vectors, corpus, tmp_path):
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("man\tking\t8\nking\tqueen\t9\nman\tapple\t1\n")
    assert logq("evaluate", "ranking", model, "--json", tmp_path / "ranking.json")[0] == 0
    shown = logq("push", model, "me/ring", "--dry-run", "--scores", tmp_path / "ranking.json")[1]
    read = json.loads((tmp_path / "ranking.json").read_text())
    assert f"On {read['test']}:" in " ".join(shown.split())
    low, high = read["SASRec"]["intervals"]["NDCG@10"]
    assert f"| NDCG@10 | {read['SASRec']['values']['NDCG@10']:.4g} | {low:.4g} to {high:.4g} |" in shown
    assert logq("evaluate", "words", vectors, "--similarity", pairs, "--json", tmp_path / "words.json")[0] == 0
    shown = logq("push", vectors, "me/words", "--dry-run", "--scores", f"pairs={tmp_path / 'words.json'}")[1]
    rho = json.loads((tmp_path / "words.json").read_text())["similarity"][0]["spearman"]["coefficient"]
    assert f"| Spearman, pairs.tsv | {rho:.4g} |" in shown
    assert logq("train", "lm", corpus, "-o", tmp_path / "lm", "--smoothing", "add_k", "--order", "2", "-q")[0] == 0
    assert logq("evaluate", "lm", tmp_path / "lm", corpus, "--json", tmp_path / "lm.json")[0] == 0
    shown = logq("push", tmp_path / "lm", "me/lm", "--dry-run", "--scores", f"itself={tmp_path / 'lm.json'}")[1]
    assert f"| perplexity | {json.loads((tmp_path / 'lm.json').read_text())['all']['perplexity']:.4g} |" in shown


def test_mistakes_are_one_line(logq, vectors, tmp_path):
    code, _, err = logq("push", vectors, "words", "-q")
    assert (code, err) == (2, "Error: USER/NAME: expected user/name, got 'words'\n")
    code, _, err = logq("push", vectors, "me/words", "--users")
    assert (code, err) == (2, "Error: --users: expected none with KeyedVectors, which knows no users\n")
    (tmp_path / "list.json").write_text("[]")
    code, _, err = logq("push", vectors, "me/words", "--scores", tmp_path / "list.json")
    assert (code, err.partition(", got")[0]) == (
        2,
        "Error: --scores: expected DATA=JSON, a file that `logq evaluate --json` wrote, or one of numbers by name",
    )
    for text in (
        "{",
        '{"similarity": [{}]}',
        '{"similarity": [{"file": "x", "spearman": 1}]}',
        '{"similarity": 3}',
        '{"analogies": [{"file": 3, "total": {"accuracy": 1}}]}',
        '{"KeyedVectors": 3}',
        '{"KeyedVectors": {"values": 3}}',
        '{"all": [1]}',
        '{"values": {"HR@1": 0.5}, "intervals": {"HR@1": [1]}}',
        '{"values": {"HR@1": 0.5}, "intervals": {"HR@1": ["a", "b"]}}',
        '{"values": {"HR@1": 0.5}, "intervals": [1]}',
        '{"name": "text"}',
        f'{{"n": 1{"0" * 400}}}',
        "[" * 100_000,
    ):
        (tmp_path / "bad.json").write_text(text)
        code, _, err = logq("push", vectors, "me/words", "--dry-run", "--scores", f"test={tmp_path / 'bad.json'}")
        assert (code, err.count("\n")) == (2, 1), text[:80]
        assert (
            "--scores: expected DATA=JSON, a file that `logq evaluate --json` wrote, or one of numbers by name" in err
        )
        assert "bad.json'" in err
    code, _, err = logq("push", tmp_path / "none", "me/words")
    assert (code, "No such file" in err) == (2, True)
