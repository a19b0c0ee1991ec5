"""The report: tables of curves, charts drawn from them, a gallery of images, and the page that holds all."""
