"""Layers for histories of items, one paper a file: attention, LiGR, BSARec, WEARec, HSTU, FuXi-Linear, GRU4Rec."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
