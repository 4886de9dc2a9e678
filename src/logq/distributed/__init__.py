"""Class tables, samplers and their files for processes that train together, each of which holds a part."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
