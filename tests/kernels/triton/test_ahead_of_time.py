"""Kernels compiled for GPUs that are not there take no more than registers.tsv says."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("triton", reason="Triton is there for Linux alone")

from ahead_of_time import EACH, HEAD, REGISTERS_MORE, TARGETS, Usage, cases, line_of, stated, usage_of, worse

KEY = ("tile_kernel", "softmax", "-", "fp32", "sm_90")
USAGE = Usage(registers=64, spills=8, shared=4096, wide=True, products=12, atomics=0, traps=True)


def compile_ahead(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("ahead_of_time.py"), *arguments],
        env={**os.environ, "TRITON_INTERPRET": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "tile_kernel" in done.stdout


def test_kernels_fit_a_gpu_that_is_not_here() -> None:
    compile_ahead("--quick", "--target", "sm_90")


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_every_kernel_fits_every_gpu(target: str) -> None:
    compile_ahead("--target", target)


def test_every_case_has_a_line_in_the_table() -> None:
    """`ahead_of_time.py --write` writes them."""
    keys = [case.key(target) for case in cases() for target in case.targets]
    assert len(set(keys)) == len(keys)
    assert set(stated()[1]) == set(keys)


def test_a_line_is_read_as_it_is_written() -> None:
    assert usage_of(line_of(KEY, USAGE)) == (KEY, USAGE)
    assert len(line_of(KEY, USAGE).split("\t")) == len(HEAD)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, []),
        ({"registers": 64 + REGISTERS_MORE, "spills": 0, "shared": 0, "products": 1}, []),
        ({"registers": 65 + REGISTERS_MORE}, ["73 registers, not 64"]),
        ({"spills": 9}, ["9 bytes spilled, not 8"]),
        ({"shared": 4097}, ["4097 bytes of shared memory, not 4096"]),
        ({"wide": False}, ["memory is not read 16 bytes at a time any more"]),
        ({"products": 0}, ["products do not run on tensor cores any more"]),
        ({"atomics": 1}, ["1 atomics, not 0"]),
        ({"traps": False}, ["ids are not checked any more"]),
    ],
    ids=str,
)
def test_what_is_worse_than_stated_is_said(change: dict[str, Any], said: list[str]) -> None:
    assert worse(KEY, USAGE._replace(**change), USAGE) == said


def test_by_another_version_of_triton_a_kernel_has_to_fit_alone() -> None:
    assert not worse(KEY, USAGE._replace(spills=16, registers=255), None)
    assert worse(KEY, USAGE._replace(registers=256), None) == ["256 registers, of 255"]
    assert worse(KEY, USAGE._replace(shared=(227 << 10) + 1), None) == ["232449 bytes of shared memory, of 232448"]


GATHERING = {
    "per_row_kernel",
    "sample_kernel",
    "rows_kernel",
    "end_kernel",
    "keys_kernel",
    "draw_kernel",
    "number_kernel",
}
"""Kernels that read rows of the class weights, or log Q of targets, by their ids, or see to it that others may."""


def test_ids_are_checked_before_rows_are_read_by_them() -> None:
    """By the kernel that reads them, but for sums over classes: their ids go through keys_kernel first."""
    for (kernel, options, *_), usage in stated()[1].items():
        assert usage.traps == (kernel in GATHERING or options.endswith(EACH)), kernel


def test_nothing_but_word2vec_is_added_in_any_order() -> None:
    """Distinct draws count by integers, whose sum knows no order."""
    counting = {"fill_kernel", "number_kernel"}
    assert {key[0] for key, usage in stated()[1].items() if usage.atomics} - counting == {"word2vec_kernel"}


def test_word2vec_adds_16_bytes_at_a_time_where_a_gpu_can() -> None:
    table = {key: usage for key, usage in stated()[1].items() if key[0] == "word2vec_kernel"}
    of_old = {key[:-1]: usage.atomics for key, usage in table.items() if key[-1] == "sm_80"}
    assert len(of_old) == 9
    for key, usage in table.items():
        if key[-1] in {"sm_90", "sm_100"}:
            assert usage.atomics * 4 == of_old[key[:-1]], key
            assert usage.spills <= 32, key
            assert usage.products > 0, key
            assert usage.wide, key
