"""The language of Darkroom: tasks, their states, and what crosses its boundaries. Pure, and cheap to import."""
