"""From requests to answers: the interface of all recommenders, and how they rank, search and compare."""

__all__: list[str] = []
