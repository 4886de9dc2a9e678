"""Graphs of items and walks through them."""

from logq.data.graph.item_graph import ItemGraph
from logq.data.graph.walks import walks

__all__ = ["ItemGraph", "walks"]
