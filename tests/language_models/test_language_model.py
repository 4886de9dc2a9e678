"""What all language models do, tried on the simplest of them and on an n-gram model."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from logq.language_models import LanguageModel, NGram
from logq.text import read_tokens

LINES = [line.split() for line in ("the king met the queen", "the queen met the man", "the man saw the king")]


class Unigram(LanguageModel):
    """Fills in no more than it must."""

    def fit(self, source, *, validation=None, progress=None):
        with read_tokens(source, progress=progress) as tokens:
            self._vocabulary = tokens.vocabulary
            self.p = np.log((tokens.counts + 1) / (tokens.counts + 1).sum())
        return self

    def _log_prob_blocks(self, tokens):
        for ids in tokens.blocks(4):
            yield ids, self.p[ids]

    def _next_log_probs(self, ids):
        return self.p

    def settings(self):
        return {}

    def state(self):
        return {"p": self.p}

    def restore(self, state):
        self.p = state["p"]


def bigram(**options):
    return NGram(2, "add_k", k=0.1, **options).fit(LINES, progress=False)


@pytest.mark.parametrize("model", [Unigram().fit(LINES, progress=False), bigram()], ids=["unigram", "bigram"])
def test_scores_of_lines_add_up_to_that_of_the_text(model):
    text = [["the", "king", "left"], ["a"], ["queen"]]
    found = model.evaluate(text, progress=False)
    assert found.log_prob == pytest.approx(sum(model.score(line) for line in text))
    assert found.num_unknown == 2
    assert model.perplexity(text, progress=False) == found.perplexity
    for line in text:
        words = [word if word in model.vocabulary else "<unk>" for word in line]
        expected = [
            model._next_log_probs(model._ids("", words[:i]))[model._ids("", [w])[0]] for i, w in enumerate(words)
        ]
        assert model.log_probs(line, end=False) == [
            (word, pytest.approx(value)) for word, value in zip(words, expected, strict=True)
        ]
    assert model.score("", end=False) == 0
    assert model.score([]) == pytest.approx(model._next_log_probs([])[model.vocabulary.key_to_index["</s>"]])


def test_the_most_probable_words_come_first():
    model = bigram()
    found = model.next_words("he saw the", 3)
    p = np.exp(model._next_log_probs(model._ids("", ["the"])))
    assert found.words[0] in ("king", "queen", "man")
    np.testing.assert_allclose(np.exp(found.log_prob), np.sort(p)[::-1][:3])
    assert model.next_words(k=1).words == ["the"]
    assert len(model.next_words(["the"], 99).words) == len(model.vocabulary)


def test_lines_go_on():
    model = bigram()
    assert model.generate("he saw", temperature=0).split()[:2] == ["he", "saw"]
    assert model.generate(seed=3) == model.generate(seed=3)
    assert len({model.generate(seed=seed) for seed in range(10)}) > 5
    assert model.generate(["the"], max_words=0) == "the"
    lines = [model.generate("the", max_words=3, seed=seed).split() for seed in range(30)]
    assert max(map(len, lines)) == 4
    assert not any("</s>" in line for line in lines)
    # Drawn from the model: of many first words, as many as P says are "the".
    first = [model.generate(max_words=1, seed=seed) for seed in range(600)]
    p = np.exp(model.score("the", end=False))
    assert abs(first.count("the") / 600 - p) < 5 * np.sqrt(p * (1 - p) / 600)


def test_where_nothing_can_follow_it_is_said():
    model = NGram(3, "maximum_likelihood").fit(LINES, progress=False)
    assert model.generate("the king", seed=0).startswith("the king")
    with pytest.raises(ValueError, match=r"prompt: .* some word is possible, got 'queen queen'"):
        model.generate("queen queen")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.score(3), TypeError, "sentence: expected words, a string or a list of them, got 3"),
        (lambda m: m.score(["a", 3]), TypeError, "sentence: expected strings, got 3"),
        (lambda m: m.next_words(k=0), ValueError, "k: expected an integer >= 1"),
        (lambda m: m.generate(max_words=-1), ValueError, "max_words"),
        (lambda m: m.generate(seed="no"), TypeError, "seed"),
        (lambda m: m.evaluate([["a"], "b c"]), TypeError, "sentence"),
    ],
)
def test_arguments_are_checked(call, error, message):
    with pytest.raises(error, match=message):
        call(bigram())


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.vocabulary,
        lambda m: m.score("a"),
        lambda m: m.evaluate([["a"]]),
        lambda m: m.next_words(),
        lambda m: m.generate(),
        lambda m: m.save("nowhere"),
        lambda m: m.to_arpa("nowhere"),
    ],
)
def test_what_has_learned_nothing_says_so(call):
    with pytest.raises(AttributeError, match="NGram: it has learned nothing yet, call fit first"):
        call(NGram())


def test_saved_and_read_again(tmp_path):
    model = NGram(3, discount_fallback=(0.5, 1, 1.5), max_vocab=6).fit(LINES, validation=LINES[:1], progress=False)
    model.save(tmp_path / "model")
    for read in (NGram.load(tmp_path / "model"), LanguageModel.load(tmp_path / "model")):
        assert isinstance(read, NGram)
        assert read.settings() == model.settings()
        assert read.metadata == json.loads(json.dumps(model.metadata))
        assert read.vocabulary.index_to_key == model.vocabulary.index_to_key
        assert read.evaluate(LINES, progress=False) == model.evaluate(LINES, progress=False)
    described = json.loads((tmp_path / "model" / "model.json").read_text())
    assert (described["class"], described["info"]["settings"]["order"]) == ("NGram", 3)
    with pytest.raises(ValueError, match="expected a Unigram, the file holds a NGram"):
        Unigram.load(tmp_path / "model")
    Unigram().fit(LINES, progress=False).save(tmp_path / "unigram")
    assert isinstance(LanguageModel.load(tmp_path / "unigram"), Unigram)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("learned/keys.2", lambda a: a[::-1].copy()),
        ("learned/keys.3", lambda a: a * 1000),
        ("learned/keys.2", lambda a: a - a[0] - 1),
        ("learned/keys.2", lambda a: np.where(np.arange(len(a)) == np.searchsorted(a, 8) - 1, 7, a)),  # 7 is <s>
        ("learned/log_probs.2", lambda a: np.abs(a)),
        ("learned/log_probs.1", lambda a: a * np.float32(np.nan)),
        ("learned/weights.1", lambda a: a * np.float32(np.nan)),
        ("vocabulary.counts", lambda a: a * 0),
        ("vocabulary.words", lambda a: np.full_like(a, ord("x"))),
    ],
)
def test_changed_files_are_refused(name, change, tmp_path):
    model = NGram(3, discount_fallback=(0.5, 1, 1.5), max_vocab=7).fit(LINES, progress=False)
    model.save(tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    text = path.read_bytes()
    described = json.loads(text[8 : 8 + int.from_bytes(text[:8], "little")])["__metadata__"]
    tensors[name] = np.ascontiguousarray(change(tensors[name]))
    save_file(tensors, path, described)
    with pytest.raises(ValueError, match=rf"model.safetensors: the file was changed or .* digest of '{name}' differs"):
        NGram.load(tmp_path)
    with pytest.raises(ValueError, match=r"model.safetensors: the file was changed, "):
        NGram.load(tmp_path, check=False)  # what does not fit together is found without digests as well


def test_a_text_that_cannot_be_learned_leaves_the_model_as_it_was():
    model = bigram()
    before = model.score("the king")
    with pytest.raises(ValueError, match="source: expected lines without <s>"):
        model.fit([["<s>", "a"]], progress=False)
    assert model.score("the king") == before


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"order": 0}, ValueError, "order"),
        ({"smoothing": "katz"}, ValueError, "smoothing: expected one of kneser_ney, add_k, maximum_likelihood"),
        ({"k": -1}, ValueError, "k: "),
        ({"discount_fallback": (0.5, 1.0)}, ValueError, "discount_fallback: expected three numbers"),
        ({"discount_fallback": (0.5, 2.5, 1.0)}, ValueError, "discount_fallback: .*<= 2"),
        ({"max_vocab": 2}, ValueError, "max_vocab"),
        ({"min_count": 0}, ValueError, "min_count"),
    ],
)
def test_settings_are_checked(options, error, message):
    with pytest.raises(error, match=message):
        NGram(**options)
