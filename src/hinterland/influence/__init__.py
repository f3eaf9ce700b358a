"""Influence predictors: datasets, fitting, diagnostics, and the exact one for tiny systems."""

from hinterland.influence.datasets import as_batches
from hinterland.influence.diagnostics import diagnose
from hinterland.influence.fit import FitSettings, fit

__all__ = ["FitSettings", "as_batches", "diagnose", "fit"]
