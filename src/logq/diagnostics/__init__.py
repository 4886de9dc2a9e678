"""Diagnostics: how far an estimate from samples is from the exact gradient of the softmax."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
