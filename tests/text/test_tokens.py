"""Texts for language models, held to str.split and a Counter."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logq.text import Vocabulary, read_tokens
from logq.text.tokens import END, UNKNOWN, Tokens

LINES = st.lists(st.lists(st.sampled_from(["a", "b", "cc", "d", "<unk>"]), min_size=1, max_size=6), min_size=1)


def words_of(tokens: Tokens) -> list[str]:
    return [tokens.vocabulary.index_to_key[i] for i in tokens.read(0, len(tokens)).tolist()]


@given(lines=LINES, min_count=st.integers(1, 3))
def test_rare_words_are_unknown_and_lines_end(lines: list[list[str]], min_count: int) -> None:
    counts = Counter(word for line in lines for word in line)
    if all(counts[word] < min_count for word in counts if word != UNKNOWN) and set(counts) != {UNKNOWN}:
        with pytest.raises(ValueError, match="min_count"):
            read_tokens(lines, min_count=min_count)
        return
    kept = {word for word in counts if counts[word] >= min_count} | {UNKNOWN}
    expected = [word if word in kept | {END} else UNKNOWN for line in lines for word in [*line, END]]
    with read_tokens(lines, min_count=min_count) as tokens:
        assert words_of(tokens) == expected
        found = Counter(expected)
        assert tokens.num_unknown == found[UNKNOWN]
        assert tokens.num_sentences == len(lines)
        assert tokens.num_types == len(counts)
        assert dict(zip(tokens.vocabulary.index_to_key, tokens.counts.tolist(), strict=True)) == {
            **dict.fromkeys([UNKNOWN, END], 0),
            **found,
        }
        made = tokens.vocabulary.counts.tolist()
        assert made == sorted(made, reverse=True)
        assert [block.tolist() for block in tokens.blocks(2)] == [
            tokens.read(at, min(at + 2, len(tokens))).tolist() for at in range(0, len(tokens), 2)
        ]


def test_a_text_is_read_with_the_vocabulary_of_another(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("the cat sat\n\n the cat ran \n")
    (tmp_path / "test.txt").write_text("the dog sat\n")
    with (
        read_tokens(tmp_path / "train.txt") as train,
        read_tokens(tmp_path / "test.txt", vocabulary=train.vocabulary) as test,
    ):
        assert words_of(train) == ["the", "cat", "sat", END, "the", "cat", "ran", END]
        assert words_of(test) == ["the", UNKNOWN, "sat", END]
        assert test.num_unknown == 1
        assert train.vocabulary.counts[train.unknown] == 1
        assert train.counts[train.unknown] == 0


def test_max_vocab_counts_all_tokens() -> None:
    with read_tokens([["a", "a", "a", "b", "b", "c"]], max_vocab=4) as tokens:
        assert set(tokens.vocabulary.index_to_key) == {"a", "b", UNKNOWN, END}
        assert words_of(tokens) == ["a", "a", "a", "b", "b", UNKNOWN, END]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_vocab": 2}, "max_vocab: expected at least 3"),
        ({"vocabulary": Vocabulary(["a"], [1])}, "vocabulary: expected one with </s>"),
        ({"min_count": 9}, "min_count: expected at most 1"),
    ],
)
def test_bad_arguments(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_tokens([["a", "b"]], **options)  # type: ignore[arg-type]


def test_tokens_show_their_number() -> None:
    assert repr(read_tokens([["a", "b"], ["a"]])) == "Tokens(5 tokens in 2 lines, 4 different)"
