"""How far what a sample estimates is from the exact gradient of the softmax."""

__all__ = []
