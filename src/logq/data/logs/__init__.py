"""Interaction logs: who did what with which item, and when; split, and cut into examples."""

__all__: list[str] = []
