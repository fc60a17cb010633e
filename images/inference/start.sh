#!/bin/sh
# Starts Darkroom's own runtime as the chart asks.
set -eu
# The user's own arguments are several words on purpose.
# shellcheck disable=SC2086
exec darkroom runtime --engine diffusers --models "$MODEL_FOLDER" --host 0.0.0.0 --port 8080 ${EXTRA_CMD_ARG:-}
