"""Retrieval of the best items for a query by their vectors: exact and approximate indexes, and databases."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
