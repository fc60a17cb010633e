"""What AWS Lambda loads: the handler is `darkroom.api.lambda_entry.handler`.

This is the entry point of a process, as `__main__` is, so unlike any other module it acts when it is imported: the
clients are made in Lambda's init phase, which has more CPU than a request, and which SnapStart keeps.
"""

from __future__ import annotations

import os

from darkroom.api.lambda_handler import compose

handler = compose(os.environ)
