"""Train models with millions of output classes by candidate sampling: negative sampling, NCE, sampled softmax.

Names are imported when they are first used, so that `logq --help` answers without loading torch.
"""

import lazy_loader

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]
