"""Pretrained trunks."""

NETWORKS: dict[str, object] = {}
