"""N-gram language models: counts, smoothing, back-off, ARPA files; without torch."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
