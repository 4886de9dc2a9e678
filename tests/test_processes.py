"""Exchanges between processes, and the gradients that go through them."""

import torch
from torch import Tensor

from logq.processes import all_counts, all_rows, exchange, traffic, world
from processes import together

COUNTS = (3, 1, 2)


def exchanged() -> dict[str, object]:
    """What a process of three gets, and the gradients of its own rows."""
    rank = world().rank
    own = (torch.arange(COUNTS[rank] * 2.0).view(-1, 2) + 10 * rank).double().requires_grad_()
    every = all_rows(own)
    weights = torch.arange(float(every.numel())).view_as(every).double() * (rank + 1)
    (gathered,) = torch.autograd.grad((every * weights).sum(), own)

    sent = [COUNTS[rank] if other == (rank + 1) % 3 else 0 for other in range(3)]
    received = [COUNTS[other] if rank == (other + 1) % 3 else 0 for other in range(3)]
    with traffic() as counted:
        got = exchange(own, sent, received)
        (returned,) = torch.autograd.grad((got * (rank + 1)).sum(), own)
    with traffic() as of_all:
        all_rows(own.detach(), COUNTS)
    return {
        "counts": all_counts(COUNTS[rank]),
        "every": every.detach(),
        "gathered": gathered,
        "got": got.detach(),
        "returned": returned,
        "bytes": (counted.bytes_sent, of_all.bytes_sent),
        "nothing": all_rows(own[:0]),
    }


def test_rows_go_to_all_processes_and_gradients_come_back() -> None:
    found = together(exchanged, size=3)
    rows = [(torch.arange(count * 2.0).view(-1, 2) + 10 * rank).double() for rank, count in enumerate(COUNTS)]
    every = torch.cat(rows)
    # Processes weigh the rows by w, 2 w and 3 w.
    gradients: tuple[Tensor, ...] = (6 * torch.arange(float(every.numel())).view_as(every).double()).split(COUNTS)
    for rank, one in enumerate(found):
        assert one["counts"] == list(COUNTS)
        torch.testing.assert_close(one["every"], every, rtol=0, atol=0)
        torch.testing.assert_close(one["gathered"], gradients[rank], rtol=0, atol=0)
        torch.testing.assert_close(one["got"], rows[(rank - 1) % 3], rtol=0, atol=0)
        assert one["nothing"].shape == (0, 2)
        # Rows of 16 bytes: own ones to one process, gradients back to another; and own ones to two.
        assert one["bytes"] == (16 * (COUNTS[rank] + COUNTS[(rank - 1) % 3]), 32 * COUNTS[rank])
        torch.testing.assert_close(one["returned"], torch.full_like(rows[rank], (rank + 1) % 3 + 1), rtol=0, atol=0)
