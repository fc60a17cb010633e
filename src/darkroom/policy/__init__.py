"""Decisions, as pure functions that return values: no clock, no network, no AWS in here."""
