"""What results mean: leaks, significance, heatmaps, revisions, the report."""
