"""ServingLimits: what a request may ask for, and how requests are collected into batches."""

from dataclasses import dataclass, fields

from logq._arguments import check_float, check_int

__all__ = ["ServingLimits"]


@dataclass(frozen=True)
class ServingLimits:
    """What one request may ask for, and how many are answered together.

    Args:
        k: largest number of answers.
        items: longest list of a request: a history, filters, items to score, terms of an analogy.
        characters: longest text or id.
        body: largest body in bytes.
        seconds: time within which a body has to arrive, and within which its answer has to be ready.
        rows: most requests that are answered together.
        wait: seconds for which a batch waits for more requests, while several clients ask at once; one that asks alone
            never waits.
        waiting: most requests that wait; more are refused at once.

    Raises:
        ArgumentError: a number is out of range.

    Example:
        >>> ServingLimits(k=100).items
        10000
    """

    k: int = 1000
    items: int = 10_000
    characters: int = 100_000
    body: int = 1 << 20
    seconds: float = 10.0
    rows: int = 64
    wait: float = 0.002
    waiting: int = 1024

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "seconds":
                check_float(field.name, value, above=0)
            elif field.name == "wait":
                check_float(field.name, value, at_least=0, at_most=1)
            else:
                check_int(field.name, value)
