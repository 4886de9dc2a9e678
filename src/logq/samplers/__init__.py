"""Samplers: one distribution per file, each with its draws and the exact expected counts of them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
