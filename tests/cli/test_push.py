import json

import pytest

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def test_a_dry_run_shows_the_card_and_sends_nothing(logq, model, tmp_path):
    (tmp_path / "scores.json").write_text(json.dumps({"metrics": {"NDCG@10": 0.25}, "users": 60}))
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


def test_mistakes_are_one_line(logq, vectors, tmp_path):
    code, _, err = logq("push", vectors, "words", "-q")
    assert (code, err) == (2, "Error: USER/NAME: expected user/name, got 'words'\n")
    code, _, err = logq("push", vectors, "me/words", "--scores", tmp_path / "none")
    assert (code, err.partition(", got")[0]) == (
        2,
        "Error: --scores: expected DATA=JSON, a file that `logq evaluate --json` wrote",
    )
    code, _, err = logq("push", tmp_path / "none", "me/words")
    assert (code, "No such file" in err) == (2, True)
