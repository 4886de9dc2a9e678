from .checkpoint_parts import OwnRows as OwnRows
from .checkpoint_parts import ShardedState as ShardedState
from .grad_cache import GradCache as GradCache
from .sharded_checkpoint import Checkpoint as Checkpoint
from .sharded_checkpoint import Loaded as Loaded
