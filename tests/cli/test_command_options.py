import inspect
from dataclasses import dataclass

import pytest

from logq.cli.command_options import spread


@dataclass(frozen=True)
class Sizes:
    dim: int = 64
    heads: int = 1


@dataclass(frozen=True)
class Wide(Sizes):
    dim: int = 256
    layers: int = 2


def test_fields_become_parameters_in_order_and_defaults_can_be_replaced():
    @spread
    def command(name: str, sizes: Wide, quiet: bool = False) -> None:
        raise AssertionError

    parameters = inspect.signature(command).parameters
    assert {name: one.default for name, one in parameters.items()} == {
        "name": inspect.Parameter.empty,
        "dim": 256,
        "heads": 1,
        "layers": 2,
        "quiet": False,
    }
    assert [one.annotation for one in parameters.values()] == [str, int, int, int, bool]


def test_the_function_gets_dataclasses():
    seen = []

    @spread
    def command(sizes: Wide, name: str) -> None:
        seen.append((sizes, name))

    command(name="x", dim=3, heads=4, layers=5)
    assert seen == [(Wide(3, 4, 5), "x")]


def test_an_option_of_two_groups_is_refused():
    def command(first: Sizes, second: Wide) -> None:
        raise AssertionError

    with pytest.raises(ValueError, match="duplicate parameter name: 'dim'"):
        spread(command)
