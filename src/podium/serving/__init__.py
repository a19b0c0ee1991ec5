"""Models that leave the house: new pictures predicted here, and folders that predict them elsewhere."""
