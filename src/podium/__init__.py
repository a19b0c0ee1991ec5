"""podium: from a competition's images to a checked, scored submission."""
