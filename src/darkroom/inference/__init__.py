"""The built-in runtime: a server that speaks the SD Web UI API over interchangeable engines."""
