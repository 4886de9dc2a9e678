"""Neural language models: fitted on text, they score it, go on with it, and are measured by perplexity."""

__all__ = []
