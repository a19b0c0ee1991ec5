"""Which rows are trained on and which are scored: folds, holdout, trial samples."""
