"""Provenance: what pictures carry that says a machine made them, and how it is written, signed and read."""
