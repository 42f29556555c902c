#!/usr/bin/env bash
# Renews what the image is made of: requirements-lock.txt from requirements.txt, requirements-lock-jobs.txt with the
# extras jobs and s3 besides, and with docker the digest of the base image in deploy/Dockerfile.j2. Run it once a
# month, and where `make supply` names a fault; then build, test and commit. The locks are of wheels alone, for Linux
# on x86_64 and aarch64; each must be the same for both. JOBS_ONLY=1 leaves the first as it is.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=build/supply-tools/bin/uv
mkdir -p build
[ -x build/supply-tools/bin/pip ] || .venv/bin/python -m venv build/supply-tools
build/supply-tools/bin/pip install --quiet --disable-pip-version-check 'uv>=0.9'
version=$(sed -n 's/^  python_version: "\(.*\)"/\1/p' bentofile.yaml)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# lock INPUT LOCK WHAT [OPTION...]; what is in LOCK already is kept where it fits, but for --upgrade
lock() {
    local input=$1 lock=$2 what=$3 machine
    shift 3
    for machine in x86_64 aarch64; do
        [ ! -e "$lock" ] || cp "$lock" "$work/$machine"
        $uv pip compile "$input" --quiet "$@" --python-version "$version" \
            --python-platform "$machine-manylinux_2_28" --only-binary :all: --generate-hashes \
            --no-header --no-annotate --output-file "$work/$machine" >/dev/null
    done
    cmp "$work/x86_64" "$work/aarch64" || { echo "the two machines need locks of their own" >&2; exit 1; }
    {
        echo "# What $what installs, and nothing else: made by scripts/lock.sh on $(date --utc +%F), for Python $version"
        echo "# on Linux, x86_64 and aarch64 alike. No CUDA: nvidia-ml-py, which BentoML wants, is a few kB of Python."
        cat "$work/x86_64"
    } >"$lock"
}

[ -n "${JOBS_ONLY:-}" ] || lock requirements.txt requirements-lock.txt "the image" --upgrade
cp requirements-lock.txt requirements-lock-jobs.txt # the same versions, as far as they go with the rest
{
    cat requirements.txt
    .venv/bin/python -c 'import tomllib
found = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]
print(*found["jobs"], *found["s3"], sep="\n")'
} >"$work/jobs.in"
lock "$work/jobs.in" requirements-lock-jobs.txt "the image with jobs"

base=docker.io/library/python:$version-slim
if docker info >/dev/null 2>&1; then
    digest=$(docker buildx imagetools inspect "$base" --format '{{.Manifest.Digest}}')
    sed -i "s|^ARG BASE=.*|ARG BASE=$base@$digest|; s|^# Base image of .*|# Base image of $(date --utc +%F): an index of both machines; scripts/lock.sh renews it.|" \
        deploy/Dockerfile.j2
else
    echo "docker is not here: the digest of the base image stays" >&2
fi
