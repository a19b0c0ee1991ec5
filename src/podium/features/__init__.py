"""Images to feature vectors: a backbone's extraction and pooling."""
