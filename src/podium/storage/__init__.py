"""Bytes on disk: archives, raw files, whole-or-nothing writes, CSV, caches, checkpoints."""
