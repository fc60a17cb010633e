"""What Darkroom calls itself to AWS."""

from __future__ import annotations

# The libraries' own text names the platform, Python and every feature in use, and is put together twice for each call:
# a fifth of the instructions that a request to the gateway took. CloudTrail has room for this too.
USER_AGENT = "darkroom"
