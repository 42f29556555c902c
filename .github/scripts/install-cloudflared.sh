#!/usr/bin/env bash
# Builds cloudflared into the folder $1, from the source of the commit below. A release's binary would have to be
# trusted as it is; a commit is what it says. The modules that it needs lie in its own repository.
set -euo pipefail
version=2026.8.2
commit=733bfb939963e150dcf5c4faddb1603f744fbc98
target=$1
# shellcheck source-path=SCRIPTDIR source=problem.sh
. "$(dirname "$0")/problem.sh"

if [ "$("$target/cloudflared" --version 2>/dev/null | awk '{print $3}')" = "$version" ]; then
    echo "cloudflared $version is there"
    exit 0
fi
mkdir -p "$target"
source=$(mktemp -d)
trap 'rm -rf "$source"' EXIT
git -C "$source" init --quiet
for attempt in 1 2 3; do
    git -C "$source" fetch --quiet --depth 1 https://github.com/cloudflare/cloudflared "$commit" && break
    [ "$attempt" != 3 ] || problem "the source of cloudflared cannot be fetched"
    sleep $((attempt * ${RETRY_PAUSE_S:-5}))
done
git -C "$source" checkout --quiet FETCH_HEAD
# Its source asks for a newer Go than the one that may be here, which fetches that.
GOTOOLCHAIN=${GOTOOLCHAIN:-go1.26.0+auto} CGO_ENABLED=0 go build -C "$source" -mod=vendor -ldflags "-X main.Version=$version" \
    -o "$(realpath "$target")/cloudflared" ./cmd/cloudflared ||
    problem "cloudflared cannot be built: the lines above say why"
"$target/cloudflared" --version
