"""Groups of processes: what can be chosen, and how processes are divided; tests/distributed has them at work."""

import pytest

from logq import process_groups
from logq._launch import World
from logq.process_groups import check_group, group_of


@pytest.mark.parametrize("choice", [None, "world", "node", 1, 12])
def test_choices(choice: str | int | None) -> None:
    assert check_group(choice) == choice


@pytest.mark.parametrize("choice", [0, -1, True, 2.0, "all", ""])
def test_what_is_no_choice_is_named(choice: object) -> None:
    with pytest.raises(ValueError, match=r"group: expected 'world', 'node', an integer >= 1, or None, got"):
        check_group(choice)


@pytest.mark.parametrize("choice", ["world", "node", 3])
def test_a_process_alone_needs_no_group(choice: str | int) -> None:
    assert group_of(choice) is None


@pytest.mark.parametrize(
    ("choice", "local_sizes", "expected"),
    [
        (2, [4, 4, 4, 4], [2, 2]),
        (4, [4, 4, 4, 4], [4]),
        ("node", [1, 3, 3, 3], [1, 3]),
        ("node", [2, 2, 1, 1], [2, 1, 1]),
    ],
)
def test_processes_are_divided(
    choice: str | int, local_sizes: list[int], expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_groups, "all_counts", lambda *_: local_sizes)
    assert process_groups._sizes_of_groups(choice, World(0, 4, 0), "cpu") == expected


@pytest.mark.parametrize(
    ("choice", "local_sizes", "message"),
    [
        (3, [4, 4, 4, 4], "group: expected a divisor of the number of processes, 4, got 3"),
        ("node", [2, 2, 3, 3], "group: expected LOCAL_WORLD_SIZE to be the number of processes of each machine"),
        ("node", [0, 0, 0, 0], "group: expected LOCAL_WORLD_SIZE"),
    ],
)
def test_processes_that_cannot_be_divided(
    choice: str | int, local_sizes: list[int], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_groups, "all_counts", lambda *_: local_sizes)
    with pytest.raises(ValueError, match=message):
        process_groups._sizes_of_groups(choice, World(0, 4, 0), "cpu")
