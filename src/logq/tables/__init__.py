"""Tables of results: data frames of pandas or polars, and HTML for notebooks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
