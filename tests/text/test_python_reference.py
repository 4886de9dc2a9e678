"""The demo's corpus is real text about Python, cleaned, and the same every time."""

import gc
import importlib
import re
import sys

import pytest

from logq.text import Vocabulary, python_reference

module = importlib.import_module("logq.text.demo_corpus")
words_of = module._words


@pytest.fixture(scope="module")
def sentences():
    return python_reference()


def test_it_is_large_enough_to_learn_from(sentences):
    assert sum(map(len, sentences)) > 250_000
    assert min(map(len, sentences)) > 0


def test_it_knows_the_words_of_python(sentences):
    vocabulary = Vocabulary.build(sentences)
    assert {"list", "tuple", "class", "exception", "thread", "file", "iterator", "built-in", "os.path"} <= set(
        vocabulary.index_to_key
    )
    assert len(vocabulary) > 3000


def test_words_are_clean(sentences):
    pattern = re.compile(r"[\w.'-]+")
    wrong = [
        word
        for sentence in sentences
        for word in sentence
        if not pattern.fullmatch(word) or word != word.lower() or word[0].isdigit() or not re.search(r"[^\W\d_]", word)
    ]
    assert wrong == []


@pytest.mark.slow
def test_the_order_is_always_the_same(sentences):
    assert python_reference() == sentences


def test_the_reference_comes_before_the_library(sentences):
    assert sentences[0] == ["the", "assert", "statement"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The ``os.path`` module.", "the os.path module"),
        ("See :class:`~collections.OrderedDict` and :py:func:`len`.", "see collections.ordereddict and len"),
        ("*args* and **kwargs**, e.g. f(x_1)", "args and kwargs e.g f x_1"),
        ("Title\n=====\n\n.. note::\n   text", "title note text"),
        ("+----+\n| ab |\n|----|", "ab"),
        ("built-in -- not -x, --yes", "built-in not x yes"),
        ("don't, the list's, it\u2019s, can\u2019t 'quoted'", "don't the list it can't quoted"),
        ("3 items, 0x1f, 1e5, 3.14, utf8, x2, 2nd", "items utf8 x2"),
        ("__init__ _private _ __ ___", "__init__ _private"),
        (">>> print(a.b)\n...", "print a.b"),
        ("Caf\u00e9 na\u00efve", "caf\u00e9 na\u00efve"),
        ("12 -- 34 ___", ""),
    ],
)
def test_words_of_a_text(text, words):
    assert words_of(text) == words.split()


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_collection_is_left_as_it_was(enabled, tmp_path, monkeypatch):
    monkeypatch.setattr(module.sysconfig, "get_paths", lambda: {"stdlib": str(tmp_path)})
    (tmp_path / "a.py").write_text('"""Text."""')
    before = gc.isenabled()
    try:
        gc.enable() if enabled else gc.disable()
        assert python_reference()[-1] == ["text"]
        assert gc.isenabled() is enabled
        (tmp_path / "a.py").unlink()
        with pytest.raises(FileNotFoundError):
            python_reference()
        assert gc.isenabled() is enabled
    finally:
        gc.enable() if before else gc.disable()


def test_files_are_parsed_and_never_run(tmp_path):
    for name, source in {
        "b.py": '"""Module b."""\nraise SystemExit\n',
        "a.py": 'if x:\n    class A:\n        "Class a."\n        async def f(self):\n            "Function f."\n',
        "try.py": 'try:\n    def f():\n        "In try."\nexcept E:\n    def g():\n        "In except."\n',
        "none.py": "x = lambda: 0\n",
        "else.py": 'if x:\n    1\nelse:\n    def f():\n        "In else."\n',
        "last.py": 'try:\n    1\nfinally:\n    class A:\n        "Last."\n',
        "broken.py": "def (:\n",
        "latin.py": '# coding: latin-1\n"""Caf\xe9."""\n',
        "escape.py": '"""An \\invalid escape."""\n',
        "test/c.py": '"""A test."""\n',
        "site-packages/d.py": '"""Not of the library."""\n',
        "text.txt": '"""No Python."""\n',
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(source.encode("latin-1"))
    found = [text for text in module._docstrings(tmp_path) if text]
    assert found == [
        *("Class a.", "Function f.", "Module b.", "In else.", "An \\invalid escape.", "Last.", "Caf\xe9."),
        *("In try.", "In except."),
    ]


def test_a_python_without_its_reference_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(FileNotFoundError, match=r"pydoc_data\.topics"):
        python_reference()


def test_a_python_without_its_sources_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(module.sysconfig, "get_paths", lambda: {"stdlib": str(tmp_path)})
    with pytest.raises(FileNotFoundError, match="source files"):
        python_reference()
