#!/usr/bin/env bash
# Builds the Bento. The demo model's artefacts are in the package, so that it serves at once and without torch.
# BAKE=google/medasr bakes that model's artefact in as well (LM=on: and its language model): for a private registry
# only (docs/deploy.md).
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/.venv/bin
export BENTOML_DO_NOT_TRACK=${BENTOML_DO_NOT_TRACK:-True}

# Of the caller's settings only the cache counts.
while IFS='=' read -r name _; do
    [ "$name" = MEDASR_CACHE_DIR ] || unset "$name"
done < <(env | grep '^MEDASR_' || true)
rm -rf artefacts # what was baked in another time must not slip in
if [ -n "${BAKE:-}" ]; then
    mkdir artefacts
    artefact=$(MEDASR_MODEL=$BAKE MEDASR_REVISION=${REVISION:-} MEDASR_PRECISION=${PRECISION:-} \
        MEDASR_LM=${LM:-} "$bin/medasr" export)
    cp -R "$(dirname "$artefact")" artefacts/
fi
"$bin/bentoml" build --output tag
folder=$("$bin/bentoml" get medasr:latest --output path)
echo "the Bento holds:"
(cd "$folder" && du -ah --apparent-size --max-depth=3 . | sort -k2)
