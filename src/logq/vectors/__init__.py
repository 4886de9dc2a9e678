"""Word vectors after training: saved and loaded, and searched for the words nearest to others."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
