"""Queue, controllers, nodes and agents as a list of events: what they do with tasks that arrive, second by second."""
