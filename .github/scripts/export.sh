#!/usr/bin/env bash
# Exports the model of MEDASR_MODEL to its ONNX artefact, into $MODELS. Where the cache has brought one that this
# version made of this revision and precision, as its key in the workflow says, there is nothing to do.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=problem.sh
. "$(dirname "$0")/problem.sh"
mkdir -p "$MODELS"
if [ "${MEDASR_MODEL:-demo}" != demo ] && ! compgen -G "$MODELS/*/manifest.json" >/dev/null; then
    env -u HF_TOKEN make setup-export || problem "what exports the model cannot be installed: the lines above say why"
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    MEDASR_CACHE_DIR=$MODELS .venv/bin/medasr export 2>&1 | tee "$log" || {
        line=$(grep '^medasr: ' "$log" | tail -n 1) || line="the lines above say why"
        problem "the model cannot be exported: ${line#medasr: }"
    }
fi
chmod -R a+rX "$MODELS" # the user of the container is another one
