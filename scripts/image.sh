#!/usr/bin/env bash
# Makes the image $IMAGE of the Bento medasr:latest, with docker where its daemon runs, else buildah or podman.
# PLATFORM=linux/arm64 builds for another machine; WITH_TORCH=1 makes the image that exports artefacts, WITH_JOBS=1 the
# one with what jobs need, also in a bucket; BASE=... is another base image than the one that deploy/Dockerfile.j2
# names by its digest.
# It builds what the Bento holds by the Dockerfile that the Bento holds, as `bentoml containerize` does; that one
# finds a template of ours only when it is started in /, and hides the builder's exit status.
set -euo pipefail
cd "$(dirname "$0")/.."
image=${IMAGE:-medasr-service:latest}
if [ -z "${BUILDER:-}" ]; then
    if docker info >/dev/null 2>&1; then
        BUILDER=docker
    elif command -v buildah >/dev/null; then
        BUILDER=buildah
    elif command -v podman >/dev/null; then
        BUILDER=podman
    else
        echo "no image builder is here: install docker, buildah or podman" >&2
        exit 1
    fi
fi
options=()
[ -z "${PLATFORM:-}" ] || options+=(--platform "$PLATFORM")
[ -z "${WITH_TORCH:-}" ] || options+=(--build-arg WITH_TORCH=1)
[ -z "${WITH_JOBS:-}" ] || options+=(--build-arg LOCK=requirements-lock-jobs.txt)
[ -z "${MEDASR_TORCH_INDEX:-}" ] || options+=(--build-arg "TORCH_INDEX=$MEDASR_TORCH_INDEX")
[ -z "${BASE:-}" ] || options+=(--build-arg "BASE=$BASE")
# For the labels: SOURCE=https://... where the clone does not know; never the credentials of a remote.
revision=$(git rev-parse HEAD 2>/dev/null || true)
[ -z "$revision" ] || git diff --quiet HEAD || revision+=-dirty
source=${SOURCE:-$(git remote get-url origin 2>/dev/null | sed -nE 's#^(https?://)([^@/]*@)?#\1#p' || true)}
version=$(PYTHONPATH=$PWD .venv/bin/python -c 'from medasr_service.version import VERSION; print(VERSION)')
options+=(--build-arg "VERSION=$version" --build-arg "REVISION=$revision" --build-arg "SOURCE=$source")
[ "$BUILDER" = docker ] || options+=(--layers --format docker) # the OCI format knows no health check

export BENTOML_DO_NOT_TRACK=${BENTOML_DO_NOT_TRACK:-True}
bento=$(.venv/bin/bentoml get medasr:latest --output path) || { echo "there is no Bento: make bento" >&2; exit 1; }
echo "building $image with $BUILDER from $bento"
"$BUILDER" build "${options[@]}" --tag "$image" --file "$bento/env/docker/Dockerfile" "$bento"
