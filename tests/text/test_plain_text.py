import gzip
import re

import pytest

from logq import Word2Vec
from logq.text import PlainText, Vocabulary, encode, tokenize
from logq.text.plain_text import punctuation_note

TEXT = (
    "The King, they said, is dead.\n\n--- * ---\nLong live the king! And the\u00a0Queen\u2019s cat; well-known (3.14)."
)
HINDI = "\u0939\u093f\u0928\u094d\u0926\u0940"  # ends in the sign of a vowel


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don\u2019t \u201cquote\u201d me\u2014or do...", ["don't", "quote", "me", "or", "do"]),
        ("3,000 at 12:30, ratio 1:2 and a:b", ["3,000", "at", "12:30", "ratio", "1:2", "and", "a", "b"]),
        ("'tis U.S. e.g. C++ #tag a/b x=y", ["tis", "u.s", "e.g", "c", "tag", "a", "b", "x", "y"]),
        ("\u00dcber STRASSE \u0130", ["\u00fcber", "strasse", "i\u0307"]),
        (f"{HINDI}, {HINDI}\u0964", [HINDI, HINDI]),
        (" -- ... !? \u2026 ", []),
    ],
)  # fmt: skip
def test_words_lose_what_stands_around_them(text, words):
    assert tokenize(text) == words


def test_on_plain_english_it_agrees_with_a_regular_expression():
    text = "It was the best of times, it was the worst of times; (it was) the age of wisdom: 'foolishness'!"
    assert tokenize(text) == re.findall("[a-z]+", text.lower())
    assert tokenize(text, keep_case=True) == re.findall("[A-Za-z]+", text)


def test_every_pass_has_the_same_sentences_and_files_have_them_too(tmp_path):
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"A b.\n"))
    plain = PlainText(str(tmp_path / "*"))
    expected = [
        ["the", "king", "they", "said", "is", "dead"],
        ["long", "live", "the", "king", "and", "the", "queen's", "cat", "well-known", "3.14"],
        ["a", "b"],
    ]
    assert list(plain) == list(plain) == expected
    for name in ("out.words", "out.gz"):
        assert PlainText([tmp_path / "a.txt", tmp_path / "b.txt.gz"]).write(tmp_path / name, progress=False) == 18
    lines = (tmp_path / "out.words").read_text(encoding="utf-8").splitlines()
    assert lines == [" ".join(sentence) for sentence in expected]
    assert gzip.decompress((tmp_path / "out.gz").read_bytes()).decode().splitlines() == lines


def test_it_is_encoded_like_lists_of_words():
    with encode(PlainText([["The", "king."], ["the", "KING"]]), min_count=1, progress=False) as text:
        assert dict(zip(text.vocabulary.index_to_key, text.vocabulary.counts.tolist(), strict=True)) == {
            "the": 2,
            "king": 2,
        }


def test_a_text_with_punctuation_on_its_words_is_pointed_out(capsys):
    sentences = [["the", "king", "is", "here."], ["here", "is", "the", "King"]] * 20
    Word2Vec(dim=2, min_count=1, epochs=1, seed=1, sample=0).fit(sentences)
    assert "Note: 25% of the text are words such as 'here.', which differ from 'here' in" in capsys.readouterr().err
    Word2Vec(dim=2, min_count=1, epochs=1, seed=1, sample=0).fit(PlainText(sentences))
    assert "Note" not in capsys.readouterr().err
    Word2Vec(dim=2, min_count=1, epochs=1, seed=1, sample=0).fit(sentences, progress=False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("words", [["king", "king's", "new_york", "3.14", "3"], ["King", "Queen", "cat."]])
def test_words_that_are_one_word_only_as_they_stand_are_not(words):
    assert punctuation_note(Vocabulary(words, [10] * len(words))) == ""  # no king beside King


@pytest.mark.parametrize("words", [9_999, 10_000, 10_001, 25_000, 30_000])
def test_a_line_of_any_length_stays_one_line(words, tmp_path):
    lines = ["Before, all.", "Word. " * words, "-- " * words, "-- " * 10_000 + "After", "A " * 10_000 + "--" * 3]
    (tmp_path / "text.txt").write_text("\n".join(lines))
    written = PlainText(tmp_path / "text.txt").write(tmp_path / "words.txt", progress=False)
    plain = [["before", "all"], ["word"] * words, ["after"], ["a"] * 10_000]
    assert [line.split() for line in (tmp_path / "words.txt").read_text().splitlines()] == plain
    assert (tmp_path / "words.txt").read_text().endswith("a\n")
    assert written == words + 10_003
