"""ARPA files: what other toolkits write is read, and what is damaged is told by its line."""

import gzip
import math

import numpy as np
import pytest

from logq.language_models import NGram

LINES = [["a", "rose", "is", "a", "rose"], ["a", "rosé"], ["is", "it"]]

# As SRILM writes them: no weight where nothing follows, blank lines, -99 for <s>, words by the alphabet.
SRILM = """
\\data\\
ngram 1=4
ngram 2=3

\\1-grams:
-0.6020600\t</s>
-99\t<s>\t-0.3010300
-0.6020600\ta\t-0.1249387
-0.6020600\tb

\\2-grams:
-0.1760913\t<s> a
-0.4771213\ta b
-0.3010300\tb </s>

\\end\\
"""


def write(folder, text):
    (folder / "model.arpa").write_bytes(text.encode())
    return folder / "model.arpa"


@pytest.mark.parametrize("order", [1, 2, 4])
@pytest.mark.parametrize("smoothing", ["kneser_ney", "add_k", "maximum_likelihood"])
def test_what_is_written_is_read(order, smoothing, tmp_path):
    model = NGram(order, smoothing, discount_fallback=(0.5, 1.0, 1.5)).fit(LINES, progress=False)
    model.to_arpa(tmp_path / "m.arpa", progress=False)
    packed = tmp_path / "m.arpa.gz"
    packed.write_bytes(gzip.compress((tmp_path / "m.arpa").read_bytes()))
    for path in (tmp_path / "m.arpa", packed):
        read = NGram.from_arpa(path, progress=False)
        assert (read.order, read.vocabulary.index_to_key) == (order, model.vocabulary.index_to_key)
        for name, array in model.state().items():
            np.testing.assert_allclose(read.state()[name], array, rtol=1e-6, atol=1e-6)
        read.save(tmp_path / "again")
        assert NGram.load(tmp_path / "again").score("a rosé it") == read.score("a rosé it")
    with pytest.raises(ValueError, match=r"smoothing: expected one of .* got .arpa.; .* read from an ARPA file"):
        read.fit(LINES)


@pytest.mark.parametrize("preamble", ["", "A preamble, as the toolkit of CMU has it\n\\1-grams:\np_1 wd_1 bo_wt_1\n"])
def test_what_srilm_writes_is_read(preamble, tmp_path):
    model = NGram.from_arpa(write(tmp_path, preamble + SRILM), progress=False)
    assert model.vocabulary.index_to_key == ["</s>", "a", "b", "<unk>"]
    log10 = [value / math.log(10) for _, value in model.log_probs("a b a x")]
    # a after <s>; b after a; a after b has no entry and b no weight; x is impossible; and so comes </s> after x.
    assert log10[:3] == pytest.approx([-0.1760913, -0.4771213, -0.6020600])
    assert log10[3:] == pytest.approx([-math.inf, -0.6020600])
    assert model.log_probs("b")[0][1] / math.log(10) == pytest.approx(-0.3010300 - 0.6020600)
    assert model.evaluate([["a", "x"]], progress=False).num_impossible == 1


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("\\data\\", "\\date\\", 17, r"the file ends too early, expected \\data\\"),
        ("ngram 2=3", "ngram 3=3", 4, "expected 'ngram 2="),
        ("ngram 1=4", "ngram 1=5", 11, r"expected log10 P, 1 word and perhaps a weight as entry 5 of 5"),
        ("ngram 1=4", "ngram 1=3", 10, r"expected \\2-grams:, got '-0.6020600\\tb'"),
        ("ngram 1=4", "ngram 1=0", 6, "expected 'ngram 1=NUMBER' before it, with at least 1"),
        ("ngram 2=3", "ngram 2=9", 16, "expected log10 P, 2 words"),
        ("\ta b\n", "\ta c\n", 14, "expected words that are among the 1-grams, got 'c'"),
        ("\ta b\n", "\ta <s>\n", 14, "expected <s> only at the beginning"),
        ("\ta b\n", "\ta b c d\n", 14, "expected log10 P, 2 words"),
        ("\ta b\n", "\ta b\t-0.1\n", 14, "expected no weight in the highest order"),
        ("\ta b\n", "\tb </s>\n", 15, "expected different 2-grams, this one occurs twice"),
        ("-0.4771213", "-0.477l213", 14, "expected log10 P <= 0 and a finite weight"),
        ("-0.4771213", "0.4771213", 14, "expected log10 P <= 0"),
        ("-0.1249387", "nan", 9, "expected log10 P <= 0 and a finite weight"),
        ("\tb\n\n", "\ta\n\n", 10, "expected different words, this one occurs twice, got 'a'"),
        ("\\end\\\n", "", 16, "the file ends too early"),
        ("-0.3010300\tb </s>\n\n\\end\\\n", "", 14, "expected 3 2-grams, the file ends after 2"),
    ],
)
def test_damaged_files_are_told_by_the_line(old, new, line, message, tmp_path):
    assert old in SRILM
    path = write(tmp_path, SRILM.replace(old, new, 1))
    with pytest.raises(ValueError, match=rf"model.arpa, line {line}: .*{message}"):
        NGram.from_arpa(path, progress=False)


def test_what_is_not_an_arpa_file_is_not_read_to_its_end(tmp_path):
    with pytest.raises(ValueError, match=r"line 1001: expected \\data\\ among the first lines, .* got 'some words'"):
        NGram.from_arpa(write(tmp_path, "some words\n" * 5000), progress=False)


def test_contexts_must_be_there(tmp_path):
    more = "\\3-grams:\n-0.1\ta b </s>\n-0.1\tb a b\n\n\\end\\"
    text = SRILM.replace("\\end\\", more).replace("ngram 2=3\n", "ngram 2=3\nngram 3=2\n")
    with pytest.raises(ValueError, match=r"line 20: expected the first 2 words among the 2-grams, got 'b a'"):
        NGram.from_arpa(write(tmp_path, text), progress=False)


def test_words_that_text_cannot_hold_are_refused(tmp_path):
    model = NGram(1, "add_k").fit([["New York", "is"]], progress=False)
    with pytest.raises(ValueError, match=r"words: .*'New York'"):
        model.to_arpa(tmp_path / "m.arpa", progress=False)
    assert not (tmp_path / "m.arpa").exists()


def test_the_unknown_word_may_be_written_in_capitals(tmp_path):
    model = NGram.from_arpa(write(tmp_path, SRILM.replace("b", "<UNK>")), progress=False)
    assert model.vocabulary.index_to_key == ["</s>", "a", "<unk>"]
    assert model.log_probs("x")[0][1] / math.log(10) == pytest.approx(-0.3010300 - 0.6020600)


def test_words_of_an_arpa_file_are_utf_8_and_have_an_end(tmp_path):
    path = write(tmp_path, SRILM)
    path.write_bytes(SRILM.encode().replace(b"\tb\n", b"\t\xff\n"))
    with pytest.raises(ValueError, match=r"model.arpa, line 10: expected words in UTF-8, got "):
        NGram.from_arpa(path, progress=False)
    with pytest.raises(ValueError, match=r"model.arpa: expected </s> among its words"):
        NGram.from_arpa(write(tmp_path, SRILM.replace("</s>", "end")), progress=False)
