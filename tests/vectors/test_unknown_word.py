"""An unknown word is a KeyError that a person can read."""

import pickle

import pytest

from logq.vectors import UnknownWord


def test_it_is_a_key_error_with_the_word():
    error = UnknownWord("dgo", ["dog", "cat"])
    assert isinstance(error, KeyError)
    assert error.word == "dgo"
    assert error.args == ("dgo",)


@pytest.mark.parametrize(
    ("word", "known", "suggestions"),
    [
        ("pyhton", ["snake", "python", "pythons"], ["python", "pythons"]),
        ("PYTHON", ["pyth0n", "Python", "python"], ["Python", "python"]),
        ("xyz", ["cat", "dog"], []),
        ("", ["cat"], []),
        ("cat", [], []),
        ("aaaa", [f"aaaa{letter}" for letter in "bcdefghi"], None),
    ],
)
def test_the_closest_known_words_come_first(word, known, suggestions):
    found = UnknownWord(word, known).suggestions
    assert len(found) <= 5
    assert set(found) <= set(known)
    if suggestions is not None:
        assert found == suggestions


def test_the_message_is_a_sentence():
    known = ["python"] + [f"{number}" for number in range(1999)]
    assert str(UnknownWord("pyhton", known)) == ("'pyhton' is not among the 2,000 known words; the closest are python")
    assert str(UnknownWord("zz", ["cat"])) == "'zz' is not among the 1 known words"


def test_only_so_many_words_are_compared_letter_by_letter(monkeypatch):
    compared = []
    monkeypatch.setattr("difflib.get_close_matches", lambda word, pool, n: compared.extend(pool) or [])
    known = [f"word{number}" for number in range(30_000)] + ["x", "a" * 99, "WORD5x"]
    assert UnknownWord("word5X", known).suggestions == ["WORD5x"]  # other capitals are seen everywhere
    assert len(compared) == 20_000
    assert compared == known[:20_000]


def test_words_are_compared_only_when_somebody_asks(monkeypatch):
    monkeypatch.setattr("difflib.get_close_matches", lambda *_, **__: pytest.fail("compared"))
    UnknownWord("a", ["b"])


def test_a_pickle_does_not_carry_the_vocabulary():
    known = ["python"] + [f"{number}" for number in range(5000)]
    content = pickle.dumps(UnknownWord("pyhton", known))
    assert len(content) < 500
    assert str(pickle.loads(content)) == str(UnknownWord("pyhton", known))
