"""Several processes go on with a model by the rules of one: the same words, new ones appended alike, all the same."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import logq
from logq import Word2Vec
from logq.processes import world
from logq.text import Vocabulary, count_words, encode
from logq.word2vec.joint_text import count_together, encode_together
from logq.word2vec.training_text import WordRules, grown_vocabulary
from processes import together

SETTINGS: dict[str, Any] = {"dim": 8, "min_count": 2, "sample": 0, "epochs": 1, "seed": 3, "window": 3}


def sentences(topics: range, number: int = 150) -> list[list[str]]:
    """Sentences of words of one topic each, some of them rare."""
    rng = np.random.default_rng(topics.start)
    made = []
    for place in range(number):
        topic = rng.choice(topics)
        words = [f"t{topic}w{word}" for word in rng.integers(0, 10, 6)]
        made.append([*words, f"once{place}"] if place % 9 == 0 else words)
    return made


def learned(model: Word2Vec) -> dict[str, Any]:
    """Words, counts and tables."""
    tables = {name: np.array(table) for name, table in model.state().items()}
    return {"words": model.vocabulary.index_to_key, "counts": model.vocabulary.counts.tolist(), **tables}


def compared_with_one(files: list[str], vocabulary: Vocabulary) -> bool:
    """Whether the text that is read together is that of one process."""
    with (
        encode(files, vocabulary=vocabulary) as one,
        encode_together(files, vocabulary=vocabulary, around=1 << 40) as own,
    ):
        numbers = ["num_ids", "num_words", "num_sentences", "raw_words", "num_types", "invalid_lines", "long_words"]
        return (
            all(getattr(one, name) == getattr(own, name) for name in numbers)
            and one.counts.tolist() == own.counts.tolist()
            and one.read(0, one.num_ids).tolist() == own.read(0, own.num_ids).tolist()
        )


def went_on(folder: str) -> dict[str, Any]:
    """What a process finds, by name."""
    home, rank = Path(folder), world().rank
    old, new = str(home / "old.txt"), [str(home / name) for name in ("new.txt", "more.txt")]
    model = Word2Vec(**SETTINGS).fit(old, progress=False)
    model.save(home / "model")
    before = model.vocabulary
    found: dict[str, Any] = {"start": learned(model), "text": compared_with_one(new, before)}
    counted, one = count_together(new), count_words(new, min_count=1).vocabulary
    found["counted"] = (counted.index_to_key, counted.counts.tolist()) == (one.index_to_key, one.counts.tolist())
    limits = {"min_count": 2, "rules": WordRules(new_words=True)}
    grown = grown_vocabulary(before, one, **limits)
    found["expected words"] = (grown.index_to_key, grown.counts.tolist())
    found["same words"] = learned(model.fit(new, progress=False, new_words=False))
    model = logq.load(home / "model").fit(new, progress=False, new_words=True)
    found["new words"] = learned(model)
    again = logq.load(home / "model").fit(new, progress=False, new_words=True)
    found["once more"] = learned(again)
    lists = logq.load(home / "model").fit(sentences(range(2, 4)), progress=False, new_words=True)
    found["lists"] = learned(lists)
    chosen = Vocabulary(["t0w1", "t0w2", "t0w3"], [3, 2, 1])
    found["vocabulary"] = learned(Word2Vec(**SETTINGS).fit(old, vocabulary=chosen, progress=False))
    found["keep"] = learned(Word2Vec(**SETTINGS).fit(old, keep=lambda word, _: word[1] == "1", progress=False))
    other = Word2Vec(**{**SETTINGS, "seed": 4 + rank}) if rank else model
    fits = {
        "another model": lambda: (logq.load(home / "model") if rank else model).fit(new, progress=False),
        "no model": lambda: other.fit(new, progress=False),
        "another rule": lambda: Word2Vec(**SETTINGS).fit(old, keep=lambda word, _: f"t{rank}" in word, progress=False),
        "an iterator": lambda: model.fit(iter(sentences(range(4))), progress=False, new_words=True),
        "hs": lambda: Word2Vec(**SETTINGS, hs=True).fit(old, progress=False).fit(old, progress=False, new_words=True),
    }
    found["refused"] = {}
    for name, fit in fits.items():
        try:
            fit()
        except ValueError as error:
            found["refused"][name] = str(error)
    return found


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("together")
    for name, topics in {"old": range(2), "new": range(1, 3), "more": range(3, 4)}.items():
        (folder / f"{name}.txt").write_text("\n".join(map(" ".join, sentences(topics))))
    return together(went_on, str(folder), size=2, seconds=600)


def test_the_text_that_is_read_together_is_that_of_one_process(two) -> None:
    assert [(one["text"], one["counted"]) for one in two] == [(True, True)] * 2


@pytest.mark.parametrize("name", ["start", "same words", "new words", "once more", "lists", "vocabulary", "keep"])
def test_all_processes_have_the_same(two, name) -> None:
    for key, value in two[0][name].items():
        np.testing.assert_array_equal(value, two[1][name][key])


def test_known_words_stay_and_new_ones_are_appended_as_by_one_process(two) -> None:
    one = two[0]
    words = one["start"]["words"]
    assert one["same words"]["words"] == words
    assert (one["new words"]["words"], one["new words"]["counts"]) == one["expected words"]
    assert one["new words"]["words"][: len(words)] == words
    assert len(one["new words"]["words"]) > len(words)
    assert set(one["lists"]["words"]) - set(words) == {f"t{topic}w{word}" for topic in (2, 3) for word in range(10)}
    assert (one["same words"]["vectors"] != one["start"]["vectors"]).any()


def test_a_saved_model_goes_on_to_the_same_bits(two) -> None:
    for key, value in two[0]["new words"].items():
        np.testing.assert_array_equal(value, two[0]["once more"][key])


def test_words_are_chosen_by_a_vocabulary_or_a_function(two) -> None:
    assert two[0]["vocabulary"]["words"] == ["t0w1", "t0w2", "t0w3"]
    assert sorted(two[0]["keep"]["words"]) == sorted(f"t1w{word}" for word in range(10))


REFUSED = {
    "another model": "expected the same in all processes",
    "no model": "expected the same in all processes",
    "another rule": "vocabulary: expected the same in all processes",
    "an iterator": "source: expected files, or lists that can be read twice, got an iterator",
    "hs": "new_words: expected False, got True",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_go_on_is_refused_in_all_processes(two, name) -> None:
    assert [REFUSED[name] in one["refused"].get(name, "nothing") for one in two] == [True, True]
