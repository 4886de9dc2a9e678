"""The sampled losses of Chainer 7.8.1 with its names and its numbers, on tensors of torch.

    chainer.functions.negative_sampling             negative_sampling
    chainer.functions.black_out                     black_out
    chainer.links.NegativeSampling                  NegativeSampling
    chainer.links.BlackOut                          BlackOut
    chainer.links.BinaryHierarchicalSoftmax         BinaryHierarchicalSoftmax
    chainer.utils.WalkerAlias                       WalkerAlias

Links are torch modules here, and their parameter is still `W`, so the array in a snapshot of Chainer loads by
`load_state_dict({"W": torch.from_numpy(array)}, strict=False)`. Letters as in Chainer: N rows, D dimensions, V classes,
K samples. Everything is computed at least in float32, and results have the dtype of the inputs, as there; inputs of two
dtypes, which Chainer rejects, give the wider one.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
