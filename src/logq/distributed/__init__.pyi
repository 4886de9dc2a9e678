from .grad_cache import GradCache as GradCache
