"""Image files to pixels: decoding, resizing, views, contact sheets, duplicates."""
