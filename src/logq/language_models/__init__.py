"""Language models: n-grams and neural ones; fitted on text, they score it, continue it, and have a perplexity."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
