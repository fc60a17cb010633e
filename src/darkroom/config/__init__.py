"""config.yaml: what it may say, how it is read, and the task plane that follows from it."""
