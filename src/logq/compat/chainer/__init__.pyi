from .blackout import BlackOut as BlackOut
from .blackout import black_out as black_out
from .hierarchical_softmax import BinaryHierarchicalSoftmax as BinaryHierarchicalSoftmax
from .hierarchical_softmax import create_huffman_tree as create_huffman_tree
from .negatives import NegativeSampling as NegativeSampling
from .negatives import WalkerAlias as WalkerAlias
from .negatives import negative_sampling as negative_sampling
