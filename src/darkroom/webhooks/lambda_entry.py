"""What AWS Lambda loads: the handler is `darkroom.webhooks.lambda_entry.handler`.

This is the entry point of a process, as `__main__` is, so unlike other modules it acts when it is imported.
"""

from __future__ import annotations

import os

from darkroom.webhooks.lambda_handler import compose

handler = compose(os.environ)
