from .adagrad import Adagrad as Adagrad
from .clipping import clip_grad_norm_ as clip_grad_norm_
from .clipping import clip_grad_value_ as clip_grad_value_
from .lazy_adam import LazyAdam as LazyAdam
from .row_optimizer import RowOptimizer as RowOptimizer
from .rowwise_adagrad import RowWiseAdagrad as RowWiseAdagrad
from .sgd import SGD as SGD
