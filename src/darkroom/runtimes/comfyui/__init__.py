"""The adapter for ComfyUI."""
