#!/usr/bin/env bash
# Exports the model of MEDASR_MODEL to its ONNX artefact, into $MODELS, unless it is there. Serving needs no torch;
# this does, so that it is installed only where the cache has no artefact.
set -euo pipefail
mkdir -p "$MODELS"
if [ "${MEDASR_MODEL:-demo}" != demo ] && ! compgen -G "$MODELS/*/manifest.json" >/dev/null; then
    make setup
    MEDASR_CACHE_DIR=$MODELS .venv/bin/medasr export || {
        echo "::error::the model cannot be exported; the lines above say why"
        exit 1
    }
fi
chmod -R a+rwX "$MODELS" # the user of the container is another one
