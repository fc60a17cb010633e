"""Tells webhooks of tasks: a queue and a sender of their own, so that no receiver can delay a task."""
