"""The folders of models: what one holds, and opening it with the log, the titles and the indexes beside it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
