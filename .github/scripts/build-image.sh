#!/usr/bin/env bash
# Builds the Bento and its image.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=problem.sh
. "$(dirname "$0")/problem.sh"
make image || problem "the image cannot be built: the lines above say why"
