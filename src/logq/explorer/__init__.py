"""A page to explore a model: a map of its words or items, and what it answers to histories and sums of words."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
