"""Optimizers that touch only the rows of a table that have a gradient, and clipping for sparse gradients.

    SGD               w -= lr g
    Adagrad           a rate of its own for each number
    RowWiseAdagrad    a rate of its own for each row: one number of state per row, where Adagrad has a whole row
    LazyAdam          Adam on the rows that have a gradient

They take sparse gradients, coalesced or not, and dense ones, by which every row is touched. With `in_backward=True` the
rows of class weights are updated inside of backward of the losses of logq, and no gradient is stored.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
