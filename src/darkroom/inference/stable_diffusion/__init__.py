"""The engine `diffusers`: real Stable Diffusion checkpoints, read from the guide's model folders."""
