"""Estimators from an interaction log to recommendations."""

__all__: list[str] = []
