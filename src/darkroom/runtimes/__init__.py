"""Stable Diffusion runtimes behind one protocol. Adapters are found by entry point, so a user can add one."""
