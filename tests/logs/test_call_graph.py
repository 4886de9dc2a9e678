"""The call graph of source files written here, and of the library that runs this test."""

import textwrap
from collections import Counter

import pytest

from logq.logs.call_graph import call_graph


@pytest.fixture
def library(tmp_path):
    def write(**files):
        for name, text in files.items():
            path = tmp_path.joinpath(*name.split("__IN__")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        return tmp_path

    return write


def calls(folder):
    graph = call_graph(folder)
    assert len(set(graph.functions)) == len(graph.functions)
    return dict(zip(graph.functions, graph.callees, strict=True))


def test_names_follow_imports(library):
    folder = library(
        a="""
        import os.path, json as j
        from os import path
        from os.path import join as glue
        from . import b
        def f(x):
            import re
            os.path.join(x); path.join(x); glue(x); j.dumps(x); re.compile(x); b.g()
        """,
        pkg__IN____init__="""
        from .inner import h
        def f(): h(); g()
        def g(): len(())
        """,
        pkg__IN__inner="""
        from . import f
        from .. import a
        def h(): f(); a.f()
        """,
    )
    assert calls(folder) == {
        "a.f": ["os.path.join"] * 3 + ["json.dumps", "re.compile", "b.g"],
        "pkg.f": ["pkg.inner.h", "pkg.g"],
        "pkg.g": ["len"],
        "pkg.inner.h": ["pkg.f", "a.f"],
    }


def test_calls_belong_to_the_function_they_stand_in(library):
    folder = library(
        m="""
        print("no function")
        class K:
            table = dict()
            async def first(self):
                self.second(len(self.x)).strip().split()
                def local():
                    return sorted([])
                return local()
            def second(self):
                return handlers[0](lambda: max(1, 2))
        def empty(): pass
        def unknown(callback): callback(); K()
        """
    )
    assert calls(folder) == {
        "m.K.first": [".second", ".strip", ".split", "len"],
        "m.K.first.local": ["sorted"],
        "m.K.second": ["max"],
        "m.unknown": ["m.K"],
    }


def test_what_is_not_python_is_skipped(library):
    folder = library(a="def f(): len(())", b="def f(:", test__IN__c="def f(): len(())")
    (folder / "d.py").write_bytes(b"\xff\xfe\x00")
    assert calls(folder) == {"a.f": ["len"]}
    with pytest.raises(FileNotFoundError, match="expected source files"):
        call_graph(folder / "test" / "nowhere")


def test_the_library_calls_what_everybody_calls():
    graph = call_graph()
    counts = Counter(callee for callees in graph.callees for callee in callees)
    assert len(graph.functions) > 5000
    assert {"len", "isinstance", "os.path.join", ".append"} < {name for name, _ in counts.most_common(50)}
    assert "shutil.copyfile" in graph.callees[graph.functions.index("shutil.copy")]
