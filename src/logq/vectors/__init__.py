"""Vectors after training: kept in files, and asked for the words nearest to others."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
