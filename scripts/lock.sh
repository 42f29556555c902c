#!/usr/bin/env bash
# Renews what the image is made of: requirements-lock.txt from requirements.txt, and with docker the digest of the
# base image in deploy/Dockerfile.j2. Run it once a month, and where `make supply` names a fault; then build, test
# and commit. The lock is of wheels alone, for Linux on x86_64 and aarch64; it must be the same for both.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=build/supply-tools/bin/uv
mkdir -p build
[ -x build/supply-tools/bin/pip ] || .venv/bin/python -m venv build/supply-tools
build/supply-tools/bin/pip install --quiet --disable-pip-version-check 'uv>=0.9'
version=$(sed -n 's/^  python_version: "\(.*\)"/\1/p' bentofile.yaml)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for machine in x86_64 aarch64; do
    $uv pip compile requirements.txt --quiet --upgrade --python-version "$version" \
        --python-platform "$machine-manylinux_2_28" --only-binary :all: --generate-hashes \
        --no-header --no-annotate --output-file "$work/$machine" >/dev/null
done
cmp "$work/x86_64" "$work/aarch64" || { echo "the two machines need locks of their own" >&2; exit 1; }
{
    echo "# What the image installs, and nothing else: made by scripts/lock.sh on $(date --utc +%F), for Python $version"
    echo "# on Linux, x86_64 and aarch64 alike. No CUDA: nvidia-ml-py, which BentoML wants, is a few kB of Python."
    cat "$work/x86_64"
} >requirements-lock.txt

base=docker.io/library/python:$version-slim
if docker info >/dev/null 2>&1; then
    digest=$(docker buildx imagetools inspect "$base" --format '{{.Manifest.Digest}}')
    sed -i "s|^ARG BASE=.*|ARG BASE=$base@$digest|; s|^# Base image of .*|# Base image of $(date --utc +%F): an index of both machines; scripts/lock.sh renews it.|" \
        deploy/Dockerfile.j2
else
    echo "docker is not here: the digest of the base image stays" >&2
fi
