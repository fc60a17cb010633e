"""The parts that the stack is composed of, each in its own file."""
