"""Several processes that own parts of one model: class tables, their samplers and losses, checkpoints, files."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
