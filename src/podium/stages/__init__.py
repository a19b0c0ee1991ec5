"""One module per stage of dvc.yaml: it reads, calls pure functions, and writes."""
