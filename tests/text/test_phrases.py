"""Phrases: gensim's numbers, a student's loop, and nothing lost where a text is cut."""

import gzip
import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logq.text import ENGLISH_CONNECTOR_WORDS, Corpus, Phrases, encode, phrase_counts, phrase_joining
from logq.text.phrase_counts import ConnectorRuns

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "gensim_phrases.json").read_text())
SENTENCES = [line.split() for line in GOLDEN["sentences"]]
ENWIKI = Path(__file__).parents[3] / "shared" / "data" / "text" / "enwiki-17m.txt.gz"

WORDS = st.sampled_from(["a", "b", "c", "d", "of", "the"])
CORPORA = st.lists(st.lists(WORDS, max_size=12), min_size=1, max_size=12).filter(any)


@pytest.fixture
def small_parts(monkeypatch):
    def make(part, buffer=5):
        monkeypatch.setattr(phrase_joining, "_PART", part)
        monkeypatch.setattr(phrase_counts, "_BUFFER", buffer)

    return make


def student_counts(sentences, connectors):
    """How often each word and each candidate occurs, and how many words there are."""
    words, candidates, total = Counter(), Counter(), 0
    for sentence in sentences:
        total += len(sentence)
        for i, first in enumerate(sentence):
            if first in connectors:
                continue
            words[first] += 1
            for j in range(i + 1, len(sentence)):
                if sentence[j] not in connectors:
                    candidates[tuple(sentence[i : j + 1])] += 1
                    break
    return words, candidates, total


def student_phrases(sentences, connectors, scoring, min_count, threshold):
    words, candidates, total = student_counts(sentences, connectors)
    found = {}
    for phrase, n_ab in candidates.items():
        n_a, n_b = words[phrase[0]], words[phrase[-1]]
        if scoring == "npmi":
            p_a, p_b, p_ab = n_a / total, n_b / total, n_ab / total
            score = math.log(p_ab / (p_a * p_b)) / -math.log(p_ab) if n_ab >= min_count else -math.inf
        else:
            size = total if scoring == "word2phrase" else len(words) + len(candidates)
            score = (n_ab - min_count) / (n_a * n_b) * size
        if score > threshold:
            found[phrase] = score
    return found


def student_join(sentence, phrases, connectors):
    joined, i = [], 0
    while i < len(sentence):
        end = i + 1
        if sentence[i] not in connectors:
            while end < len(sentence) and sentence[end] in connectors:
                end += 1
        if tuple(sentence[i : end + 1]) in phrases:
            joined.append("_".join(sentence[i : end + 1]))
            i = end + 1
        else:
            joined.append(sentence[i])
            i += 1
    return joined


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: " ".join(map(str, case["settings"].values()))[:20])
@pytest.mark.parametrize("part", [3, 1 << 19])
def test_phrases_scores_and_text_are_those_of_gensim(case, part, small_parts):
    small_parts(part)
    found = Phrases(**case["settings"]).fit(SENTENCES, progress=False)
    assert found.phrases == case["phrases"]
    assert list(found.phrases.values()) == sorted(case["phrases"].values(), reverse=True)
    expected = [line.split() for line in case["joined"]]
    assert [found.join(sentence) for sentence in SENTENCES] == expected
    assert list(found[SENTENCES]) == expected
    assert list(found.transform(SENTENCES)) == [sentence for sentence in expected if sentence]
    twice = Phrases(**case["settings"], passes=2).fit(SENTENCES, progress=False)
    second = {"_".join(phrase.words): phrase.score for phrase in twice.tables[1]}
    assert second == case["second"]
    assert twice.phrases == {
        name: max(scores.get(name, -2.0) for scores in (case["phrases"], second)) for name in case["phrases"] | second
    }
    expected = [line.split() for line in case["twice"]]
    assert [twice.join(sentence) for sentence in SENTENCES] == expected
    assert list(twice.transform(SENTENCES)) == [sentence for sentence in expected if sentence]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    CORPORA,
    st.sampled_from([(), ("of",), ("of", "the"), ("never there",)]),
    st.sampled_from([("default", 0.3), ("word2phrase", 0.5), ("npmi", 0.1)]),
    st.integers(1, 2),
    st.integers(1, 9),
)
def test_a_student_s_loop_finds_the_same(small_parts, sentences, connectors, scoring, min_count, part):
    small_parts(part)
    name, threshold = scoring
    expected = student_phrases(sentences, connectors, name, min_count, threshold)
    found = Phrases(min_count, threshold, name, connector_words=connectors).fit(sentences, progress=False)
    assert found.phrases == pytest.approx({"_".join(phrase): score for phrase, score in expected.items()})
    assert found.num_words == sum(map(len, sentences))
    assert list(found.phrases.values()) == sorted(found.phrases.values(), reverse=True)
    joined = [student_join(sentence, expected, connectors) for sentence in sentences]
    assert [found.join(sentence) for sentence in sentences] == joined
    assert list(found.transform(sentences)) == [sentence for sentence in joined if sentence]
    assert list(found.transform(sentences, max_sentence=2)) == [
        sentence[place : place + 2] for sentence in joined for place in range(0, len(sentence), 2)
    ]


def test_counts_are_those_of_the_phrases():
    found = Phrases(2, 1.0, connector_words=ENGLISH_CONNECTOR_WORDS).fit(SENTENCES)
    _, candidates, _ = student_counts(SENTENCES, ENGLISH_CONNECTOR_WORDS)
    assert found.counts == {phrase: candidates[tuple(phrase.split("_"))] for phrase in found.phrases}
    assert list(found.counts) == list(found.phrases)


def test_new_words_stay_and_phrases_of_missing_words_do_no_harm():
    found = Phrases(2, 1.0).fit(SENTENCES)
    text = [["in", "new", "york", "tea"], ["york", "tea"]]
    assert list(found.transform(text)) == [["in", "new_york", "tea"], ["york", "tea"]]
    assert list(found.transform([["tea"]])) == [["tea"]]


def test_a_joined_phrase_that_is_a_word_of_the_text_already_is_that_word():
    sentences = [["new", "york", "inc"], ["new_york", "inc"]] * 5 + [[f"x{i}"] for i in range(100)]
    found = Phrases(2, 7, passes=2).fit(sentences)
    assert [phrase.words for phrase in found.tables[0]] == [("new", "york")]
    once = [student_join(sentence, {("new", "york")}, ()) for sentence in sentences]
    expected = student_phrases(once, (), "default", 2, 7)
    assert {phrase.words: phrase.score for phrase in found.tables[1]} == expected
    assert found.counts == {"new_york": 5, "new_york_inc": 10}


@pytest.mark.parametrize("part", [1, 2, 3, 7, 100])
def test_one_line_is_written_as_one_line_and_nothing_is_lost_at_borders(part, small_parts, tmp_path):
    small_parts(part)
    words = [word for sentence in SENTENCES for word in sentence]
    (tmp_path / "line.txt").write_text(" ".join(words))
    found = Phrases(2, 1.0, connector_words=ENGLISH_CONNECTOR_WORDS).fit(tmp_path / "line.txt")
    joined = found.join(words)
    text = found.transform(tmp_path / "line.txt", max_sentence=10)
    assert text.write(tmp_path / "out.txt") == len(joined)
    assert (tmp_path / "out.txt").read_text() == " ".join(joined) + "\n"
    pieces = list(text)
    assert [word for piece in pieces for word in piece] == joined
    assert {len(piece) for piece in pieces[:-1]} == {10}
    assert list(text) == pieces


def test_lines_stay_lines_and_gz_is_packed(tmp_path):
    (tmp_path / "text.txt").write_text("\n".join(map(" ".join, SENTENCES)))
    found = Phrases(2, 1.0).fit(tmp_path / "text.txt")
    text = found.transform(tmp_path / "text.txt")
    text.write(tmp_path / "out.txt.gz")
    expected = "".join(f"{' '.join(found.join(sentence))}\n" for sentence in SENTENCES if sentence)
    assert gzip.decompress((tmp_path / "out.txt.gz").read_bytes()).decode() == expected
    assert list(text) == list(Corpus(tmp_path / "out.txt.gz"))
    text.write(tmp_path / "again.txt.gz")
    assert (tmp_path / "again.txt.gz").read_bytes() == (tmp_path / "out.txt.gz").read_bytes()


def test_a_text_that_is_encoded_already_is_read_once(tmp_path):
    with encode(iter(SENTENCES), min_count=1) as text:
        found = Phrases(2, 1.0).fit(text)
        assert found.phrases == GOLDEN["cases"][0]["phrases"]
        assert [" ".join(sentence) for sentence in found.transform(text)] == [
            s for s in GOLDEN["cases"][0]["joined"] if s
        ]


def test_what_is_joined_can_be_encoded():
    found = Phrases(2, 1.0).fit(SENTENCES)
    joined = [found.join(sentence) for sentence in SENTENCES]
    with encode(found.transform(SENTENCES), min_count=2) as ours, encode(joined, min_count=2) as expected:
        assert ours.vocabulary.index_to_key == expected.vocabulary.index_to_key
        assert "new_york" in ours.vocabulary
        assert ours.read(0, len(ours)).tolist() == expected.read(0, len(expected)).tolist()


def test_a_view_of_sentences_keeps_their_places_and_a_generator_is_read_once():
    found = Phrases(2, 1.0).fit(SENTENCES)
    text = [["new", "york"], [], ["tea"]]
    view = found[text]
    assert list(view) == list(view) == [["new_york"], [], ["tea"]]
    assert list(found[iter(text)]) == [["new_york"], [], ["tea"]]
    assert found[iter(["new", "york"])] == found[("new", "york")] == ["new_york"]
    assert found[[]] == []


def test_rare_pairs_are_dropped_when_there_are_too_many(small_parts):
    sentences = [["new", "york"]] * 20 + [[f"x{i}", f"y{i}"] for i in range(50)]
    small_parts(10, buffer=10)
    found = Phrases(1, 0.5, max_vocab=10).fit(sentences)
    assert found.pruned >= 40
    assert found.phrases["new_york"] == pytest.approx((20 - 1) / 20 / 20 * (102 + 51 - found.pruned))
    assert Phrases(1, 0.5, max_vocab=51).fit(sentences).pruned == 0


@pytest.mark.parametrize("part", [7, 1 << 19])
def test_a_long_row_of_connector_words_is_not_a_phrase_and_takes_no_time(part, small_parts):
    small_parts(part)
    sentences = [["x", *["of"] * length, "y"] for length in (1, 64, 65, 5000)] * 3
    found = Phrases(1, 0.01, connector_words=["of"]).fit(sentences)
    assert sorted(len(phrase.words) for phrase in found.tables[0]) == [3, 66]
    joined = [found.join(sentence) for sentence in sentences]
    assert [len(sentence) for sentence in joined[:4]] == [1, 1, 67, 5002]
    assert list(found.transform(sentences)) == joined


def test_runs_of_connector_words_beyond_the_limit_get_no_number():
    runs = ConnectorRuns(num_words=2**31 - 1)
    assert runs.limit == 2
    assert runs.add([5]) == 1
    assert runs.add([6]) == runs.add([5, 5]) == -1
    ids, places = np.array([0, 5, 1, 6, 2], np.int32), np.array([0, 2])
    assert runs.find(ids, places, np.array([1, 1]), grow=True).tolist() == [1, -1]
    assert phrase_counts.find_pairs(np.array([3, 4], np.int32), None, runs).keys.tolist() == [3 * (2**31 - 1) + 4]


def test_saved_phrases_are_the_same(tmp_path):
    found = Phrases(2, 1.0, connector_words=["of", "the"], passes=2, delimiter="\u00b7").fit(SENTENCES)
    found.save(tmp_path / "phrases.json")
    loaded = Phrases.load(tmp_path / "phrases.json")
    assert loaded.tables == found.tables
    assert loaded.phrases == found.phrases
    assert vars(loaded) == vars(found)
    assert list(loaded.transform(SENTENCES)) == list(found.transform(SENTENCES))
    assert len(loaded) == len(found.phrases)
    assert "new\u00b7york" in loaded


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\x00", "expected phrases as Phrases.save writes them"),
        (b"[]", "expected phrases"),
        (b"{}", "'format'"),
        (b'{"format": "other"}', "format 'other'"),
        (b'{"format": "logq phrases", "version": 2}', "version 2, this logq reads version 1"),
        (b'{"format": "logq phrases", "version": 1, "settings": {"min_count": 0}}', "min_count"),
        (
            b'{"format": "logq phrases", "version": 1, "settings": {}, "num_words": 1, "pruned": 0,'
            b' "tables": [[[["a"], 1, 2]]]}',
            "a phrase of 1 words",
        ),
    ],
)
def test_another_file_is_refused(content, message, tmp_path):
    (tmp_path / "odd.json").write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        Phrases.load(tmp_path / "odd.json")
    assert str(error.value).startswith(str(tmp_path / "odd.json"))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"scoring": "pmi"}, ValueError, "scoring: expected one of default, word2phrase, npmi, got 'pmi'"),
        ({"threshold": 0}, ValueError, "threshold: expected a finite number > 0, got 0"),
        ({"threshold": 1.5, "scoring": "npmi"}, ValueError, "threshold: .* <= 1, got 1.5"),
        ({"min_count": 0}, ValueError, "min_count"),
        ({"delimiter": " "}, ValueError, "delimiter: expected .*, got ' '"),
        ({"delimiter": ""}, ValueError, "delimiter"),
        ({"delimiter": 1}, TypeError, "delimiter"),
        ({"connector_words": "of"}, TypeError, "connector_words: expected a list of words"),
        ({"passes": 0}, ValueError, "passes"),
        ({"max_vocab": 0}, ValueError, "max_vocab"),
    ],
)
def test_bad_settings(arguments, error, message):
    with pytest.raises(error, match=message):
        Phrases(**arguments)


def test_bad_sentences(tmp_path):
    found = Phrases(2, 1.0).fit(SENTENCES)
    with pytest.raises(TypeError, match="words: expected a list of words, got the single string 'new york'"):
        found.join("new york")
    with pytest.raises(TypeError, match="words: expected strings, got 1"):
        found.join(["new", 1])
    with pytest.raises(TypeError, match="expected a list of words or lists of words, got 'new york'"):
        found["new york"]
    with pytest.raises(TypeError, match="got a one-shot list_iterator"):
        found.transform(iter(SENTENCES))
    with pytest.raises(ValueError, match="max_sentence"):
        found.transform(SENTENCES, max_sentence=0)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Phrases().fit("nowhere.txt")
    with pytest.raises(ValueError, match=r"source: .* got 'New York'"):
        found.transform([["New York"]]).write(tmp_path / "out.txt")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("use", [lambda p: p.join([]), lambda p: p.transform([["a"]]), lambda p: p.save("x")])
def test_nothing_can_be_joined_before_fit(use):
    with pytest.raises(ValueError, match="call fit first"):
        use(Phrases())


def test_an_earlier_text_is_forgotten_and_no_phrases_are_fine():
    found = Phrases(2, 1.0, passes=3).fit(SENTENCES).fit([["a", "b"]])
    assert found.phrases == {}
    assert found.join(["new", "york"]) == ["new", "york"]
    assert list(found.transform([["new", "york"]])) == [["new", "york"]]


@pytest.mark.slow
def test_all_of_wikipedia_has_gensim_s_phrases():
    """gensim 4.4.0 finds 42,079 on the same words in lines of 1,000."""
    if not ENWIKI.exists():
        pytest.skip("the text of Wikipedia is not here")
    with gzip.open(ENWIKI, "rt") as file:
        words = file.read().split()
    found = Phrases().fit([words[i : i + 1000] for i in range(0, len(words), 1000)], progress=False)
    assert len(found) == 42_079
    assert next(iter(found.phrases)) == "yasujir_ozu"


def test_phrases_show_their_number_and_how_they_were_scored():
    found = Phrases(1, 0.5, scoring="npmi").fit([["new", "york"]] * 9 + [["a", "b", "c"]])
    assert repr(found) == f"Phrases({len(found)} phrases, scoring 'npmi', threshold 0.5)"
