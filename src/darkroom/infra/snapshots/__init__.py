"""The snapshot of cached images that nodes start from."""
