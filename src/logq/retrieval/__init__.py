"""From vectors of items to the best ones for a query: one face over exact and approximate search."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
