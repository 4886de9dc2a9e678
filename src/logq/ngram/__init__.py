"""N-gram language models: counts, smoothing, perplexity, ARPA files."""

__all__ = []
