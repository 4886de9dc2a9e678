"""From vectors of items to the best ones for a query: one face over exact and approximate search."""

__all__: list[str] = []
