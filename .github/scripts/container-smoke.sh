#!/usr/bin/env bash
# Starts the container, transcribes the sample, and leaves again, as the inference runner does.
set -euo pipefail
here=$(dirname "$0")
mkdir -p "$MODELS"
trap 'python3 "$here/leave.py"' EXIT
python3 "$here/container.py"
