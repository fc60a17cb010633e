#!/bin/sh
# Starts SD Web UI as the chart asks: models from a read-only folder, settings from a file, only the API.
set -eu
cd "${WEBUI_FOLDER:-/app}"
# Web UI writes beside its models, so only the folders that the bucket has are taken from there.
for folder in "$MODEL_FOLDER"/*/; do
    [ -d "$folder" ] || continue
    name=$(basename "$folder")
    # Of all of them, Web UI looks for this one beside models/, and not in it (modules/cmd_args.py, embeddings_dir).
    if [ "$name" = embeddings ]; then place=embeddings; else place="models/$name"; fi
    rm -rf "$place"
    ln -s "${folder%/}" "$place"
done
set -- --api --listen --port 8080 --skip-prepare-environment --no-download-sd-model --opt-sdp-attention
[ "${API_ONLY:-}" = true ] && set -- "$@" --nowebui
# Web UI writes its settings whenever one is changed, as on a change of the model: a file that it may not write would
# make an error of each (modules/api/api.py, set_config).
if [ -n "${CONFIG_FILE:-}" ]; then
    cp "$CONFIG_FILE" settings.json
    chmod u+w settings.json
    set -- "$@" --ui-settings-file settings.json
fi
[ -n "${SD_MODEL_CHECKPOINT:-}" ] && set -- "$@" --ckpt "models/Stable-diffusion/$SD_MODEL_CHECKPOINT"
# The user's own arguments are several words on purpose.
# shellcheck disable=SC2086
exec venv/bin/python launch.py "$@" ${EXTRA_CMD_ARG:-}
