"""How far what a sample estimates is from the exact gradient of the softmax."""

from logq.diagnostics.error_parts import ErrorAt, Measured
from logq.diagnostics.estimates import (
    GradientEstimate,
    effective_sample_size,
    sampled_softmax_gradient,
    self_normalized_gradient,
)
from logq.diagnostics.exact import exact_gradient
from logq.diagnostics.figure import plot
from logq.diagnostics.gradient_errors import GradientErrors, NeededSamples
from logq.diagnostics.measuring import gradient_error

__all__ = [
    "ErrorAt",
    "GradientErrors",
    "GradientEstimate",
    "Measured",
    "NeededSamples",
    "effective_sample_size",
    "exact_gradient",
    "gradient_error",
    "plot",
    "sampled_softmax_gradient",
    "self_normalized_gradient",
]
