"""OpenAI's Images API, translated: its requests into our tasks, and our ends into its replies. No I/O in here."""
