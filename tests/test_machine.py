import math
import os

import pytest

import logq._machine as memory
from logq._machine import available_memory


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with 8 kB free, whose control groups are files of the test: name -> content."""
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(memory, "_OWN_GROUP", tmp_path / "own")
    (tmp_path / "meminfo").write_text("MemTotal:  100 kB\nMemAvailable:    8 kB\n")

    def write(files):
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(content)

    return write


def test_what_the_machine_has(machine):
    machine({})
    assert available_memory() == 8192


@pytest.mark.parametrize("limit", ["max", "9000000"])
def test_a_group_without_a_tighter_limit(machine, limit):
    machine({"own": "0::/a\n", "groups/a/memory.max": limit, "groups/a/memory.stat": "anon 5\nfile 7\n"})
    assert available_memory() == 8192


def test_the_tightest_group_counts_without_what_can_be_dropped(machine):
    machine(
        {
            "own": "0::/a/b\n",
            "groups/a/memory.max": "5000",
            "groups/a/memory.stat": "anon 1000\nfile 3000\n",
            "groups/a/b/memory.max": "max",
            "groups/a/b/memory.stat": "anon 1000\nfile 3000\n",
        }
    )
    assert available_memory() == 4000


def test_groups_of_the_first_version(machine):
    machine(
        {
            "own": "9:cpu:/x\n4:memory:/a\n0::/\n",
            "groups/memory/a/memory.limit_in_bytes": "3000\n",
            "groups/memory/a/memory.stat": "rss 1\ntotal_rss 500\n",
        }
    )
    assert available_memory() == 2500


def test_nobody_knows(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "none")
    monkeypatch.setattr(memory, "_OWN_GROUP", tmp_path / "none")
    monkeypatch.setattr(memory, "_of_machine", lambda: math.inf)
    assert available_memory() == math.inf


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="POSIX")
@pytest.mark.parametrize("content", [None, "MemTotal: 100 kB\n", "MemAvailable: much\n", "no colon\n"])
def test_where_what_is_free_is_not_told_all_memory_counts(machine, monkeypatch, tmp_path, content):
    machine({} if content is None else {"meminfo": content})
    if content is None:
        (tmp_path / "meminfo").unlink()
    sizes = {"SC_PHYS_PAGES": 5, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)
    assert available_memory() == 5 * 4096


def test_a_system_that_tells_nothing_has_no_limit(machine, monkeypatch, tmp_path):
    def unknown(name):
        raise ValueError("unrecognized configuration name")

    machine({"meminfo": ""})
    monkeypatch.setattr(os, "sysconf", unknown, raising=False)
    assert available_memory() == math.inf
