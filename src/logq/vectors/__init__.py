"""Word vectors after training: saving, loading, and searching for the nearest words."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
