"""Interaction logs: which user did what with which item, and when; split, cut into examples, and as graphs of items."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
