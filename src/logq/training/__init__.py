"""Training: configurations, the loop with its schedule and optimizers, checkpoints, and devices."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
