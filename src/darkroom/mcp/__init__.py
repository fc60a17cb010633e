"""Darkroom for assistants: tools that they call by the Model Context Protocol."""
