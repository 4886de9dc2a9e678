"""Interaction logs: who did what with which item, and when; split, and cut into examples."""

from logq.data.logs.batches import epoch_batches, num_batches
from logq.data.logs.examples import Examples
from logq.data.logs.features import Features
from logq.data.logs.identifiers import Identifiers
from logq.data.logs.interactions import Interactions
from logq.data.logs.next_items import NextItems
from logq.data.logs.sequences import Sequences
from logq.data.logs.session_bounds import sessions
from logq.data.logs.splits import Split, leave_one_out, split_by_session, split_by_time

__all__ = [
    "Examples",
    "Features",
    "Identifiers",
    "Interactions",
    "NextItems",
    "Sequences",
    "Split",
    "epoch_batches",
    "leave_one_out",
    "num_batches",
    "sessions",
    "split_by_session",
    "split_by_time",
]
