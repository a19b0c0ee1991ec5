"""Who runs a backbone."""
