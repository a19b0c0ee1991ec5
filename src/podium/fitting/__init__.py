"""Heads and ensembles over folds: cross-fitting, selection, the choice of an ensemble."""
