"""Graphs of items and walks through them."""

__all__: list[str] = []
