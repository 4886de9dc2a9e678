from .checkpoint_parts import OwnRows as OwnRows
from .checkpoint_parts import ShardedState as ShardedState
from .sharded_checkpoint import Checkpoint as Checkpoint
from .sharded_checkpoint import Loaded as Loaded
from .sharded_table import ShardedClassTable as ShardedClassTable
from .stratified import Stratified as Stratified
