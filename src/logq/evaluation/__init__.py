"""What can be said about vectors once they are trained: a map to look at, and how they do on what people know."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
