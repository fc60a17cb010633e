"""Sizes that the deployment gives what it makes, and that a bill shows."""

from __future__ import annotations

# The front door's function.
LAMBDA_MEMORY_MIB = 512
# The function that sends webhooks.
SENDER_MEMORY_MIB = 256
COMPONENT_VOLUME_GIB = 20
# The system's and the data volume of a GPU node, as the chart has them.
GPU_NODE_GIB = 110
