#!/bin/sh
# Starts ComfyUI as the chart asks: models from the guide's folders, and the chart's own arguments (--disable-mmap).
set -eu
cd /app
# The arguments are several words on purpose.
# shellcheck disable=SC2086
exec venv/bin/python main.py --listen 0.0.0.0 --port 8080 --extra-model-paths-config models.yaml ${EXTRA_CMD_ARG:-}
