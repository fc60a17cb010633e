"""Fakes that are published with Darkroom: runtimes that behave, and misbehave, as the real ones were seen to."""
