"""What `darkroom deploy` and `darkroom destroy` do, step by step."""
