"""The adapter for SD Web UI (AUTOMATIC1111), its forks, and whatever else speaks its API."""
