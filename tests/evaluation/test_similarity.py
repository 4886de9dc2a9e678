"""Word pairs: the files they come in, and correlations as gensim reports them."""

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest

from logq.evaluation import read_pairs, word_similarity
from logq.vectors import KeyedVectors

DATA = Path(__file__).parents[3] / "shared" / "data" / "similarity"
KV = KeyedVectors(["cat", "dog", "car", "Bus"], [[1.0, 0.2], [0.9, 0.4], [-0.2, 1.0], [-0.3, 0.9]])


@pytest.fixture(scope="module")
def golden():
    with np.load(Path(__file__).parents[1] / "golden" / "gensim_evaluation.npz") as arrays:
        return dict(arrays)


def write(tmp_path, text):
    path = tmp_path / "pairs.txt"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("restrict", [None, 40])
@pytest.mark.parametrize("case_insensitive", [True, False])
def test_as_gensim_has_it(golden, tmp_path, restrict, case_insensitive):
    kv = KeyedVectors(golden["words"].tolist(), golden["vectors"])
    path = write(tmp_path, "\n".join(golden["pairs"]))
    found = word_similarity(kv, path, restrict_vocab=restrict, case_insensitive=case_insensitive)
    expected = golden[f"pairs_{restrict or 0}_{int(case_insensitive)}"]
    np.testing.assert_allclose([*found.pearson, *found.spearman, found.unknown_share], expected, rtol=1e-4)
    assert found.pairs + found.left_out == len(golden["pairs"])


def test_cosines_are_those_of_the_vectors():
    judged = [("cat", "dog", 1.0), ("cat", "car", 5.0), ("dog", "BUS", 2.0), ("car", "bus", 4.0), ("cat", "ox", 9.0)]
    cosines = [KV.similarity(*pair) for pair in [("cat", "dog"), ("cat", "car"), ("dog", "Bus"), ("car", "Bus")]]
    found = word_similarity(KV, judged)
    assert found.pearson.coefficient == pytest.approx(np.corrcoef(cosines, [1, 5, 2, 4])[0, 1])
    assert (found.pairs, found.left_out, found.unknown_share) == (4, 1, 0.2)


def test_unknown_pairs_are_counted_when_there_are_no_others():
    found = word_similarity(KV, [("ox", "cow", 3.0), ("cat", "cow", 3)])
    assert (found.pairs, found.left_out, found.unknown_share) == (0, 2, 1)
    assert math.isnan(found.spearman.coefficient)


@pytest.mark.parametrize(
    "text",
    [
        "old new 1.58\nsmart intelligent 9.2\n",
        "old\tnew\t1.58\nsmart\tintelligent\t9.2",
        "old,new,1.58\r\nsmart, intelligent, 9.2\r\n",
        "# by hand\n\nold\tnew\t1.58\n# more\nsmart intelligent 9.2\n",
        "Word 1,Word 2,Human (mean)\nold,new,1.58\nsmart,intelligent,9.2\n",
        "word1\tword2\tPOS\tSimLex999\tSD(SimLex)\nold\tnew\tA\t1.58\t0.41\nsmart\tintelligent\tA\t9.2\t0.67\n",
        "old new 1.58 2 1 2\nsmart intelligent 9.2 10 9 8\n",
    ],
)
def test_files_come_in_many_forms(tmp_path, text):
    expected = [("old", "new", 1.58), ("smart", "intelligent", 9.2)]
    assert read_pairs(write(tmp_path, text)) == expected
    (tmp_path / "pairs.gz").write_bytes(gzip.compress(text.encode()))
    assert read_pairs(tmp_path / "pairs.gz") == expected


def test_tabs_keep_words_with_spaces_together(tmp_path):
    assert read_pairs(write(tmp_path, "New York\tbig apple\t9\n")) == [("New York", "big apple", 9.0)]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("old new 1.58\nsmart intelligent\n", "pairs.txt, line 2: expected two words and a score, got 'smart intell"),
        ("old new 1.58\nsmart intelligent high\n", "line 2.*'smart intelligent high'"),
        ("old new 1.58\nsmart clever nan\n", "line 2"),
        ("a header line\nanother header line\nold new 1\n", "line 2"),
        ("old new\n", "line 1"),
        ("w1 w2 POS score\nold new A 1.5\nsmart clever 9.2\n", "line 3: expected two words and a score in column 4"),
        ("\told\t3.4\n", "line 1"),
        ("", "pairs.txt: expected word pairs"),
        ("# nothing\nword1 word2 score\n", "pairs.txt: expected word pairs"),
    ],
)
def test_what_is_not_a_pair_is_named_by_its_line(tmp_path, text, match):
    with pytest.raises(ValueError, match=match):
        read_pairs(write(tmp_path, text))


@pytest.mark.parametrize(
    ("pairs", "error"),
    [
        ([], ValueError),
        ([("cat", "dog")], TypeError),
        ([("cat", "dog", "3")], TypeError),
        ([("cat", 3, 4)], TypeError),
        ([("cat", "dog", math.nan)], TypeError),
        ([None], TypeError),
    ],
)
def test_arguments_are_checked(pairs, error):
    with pytest.raises(error, match="pairs"):
        word_similarity(KV, pairs)


@pytest.mark.parametrize(
    ("first", "match"),
    [
        ("a\tb\tnan", "two words and a score, got"),
        ("a\tb\t-inf", "two words and a score, got"),
        ("a b 1_0", "two words and a score, got"),
        ("a\tb\t1,5", "two words and a score with a decimal point, got"),
        ("a;b;1.5", "two words and a score, separated by tabs, commas or white space, got"),
    ],
)
def test_a_first_line_with_an_odd_score_is_no_header(tmp_path, first, match):
    with pytest.raises(ValueError, match=rf", line 1: expected {match}"):
        read_pairs(write(tmp_path, f"{first}\nc\td\t2\n"))


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="needs the real test sets")
@pytest.mark.parametrize(("name", "pairs"), [("EN-WS-353-ALL", 353), ("EN-SIMLEX-999", 999), ("EN-RG-65", 65)])
def test_real_files_are_read(name, pairs):
    assert len(read_pairs(DATA / f"{name}.txt")) == pairs


def test_pairs_with_an_unknown_word_count_as_in_gensim_where_that_is_asked_for():
    golden = json.loads(
        (Path(__file__).parents[1] / "golden" / "gensim_unknown_pairs.json").read_text(encoding="utf-8")
    )
    vectors, pairs = KeyedVectors(golden["words"], golden["table"]), [tuple(pair) for pair in golden["pairs"]]
    result = word_similarity(vectors, pairs, unknown_as=0.0)
    assert (result.pairs, result.left_out) == (5, 0)
    assert math.isclose(result.pearson.coefficient, golden["pearson"], rel_tol=1e-6)
    assert math.isclose(result.spearman.coefficient, golden["spearman"], rel_tol=1e-6)
    left_out = word_similarity(vectors, pairs)
    assert (left_out.pairs, left_out.left_out) == (3, 2)
    with pytest.raises(TypeError, match=r"^unknown_as: expected a"):
        word_similarity(vectors, pairs, unknown_as="zero")
