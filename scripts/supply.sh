#!/usr/bin/env bash
# Looks at what the image installs: writes build/sbom.json (CycloneDX), checks the licences and docs/licences.md, and
# asks the advisory database for known faults where that can be reached.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=build/supply-tools locked=build/supply-locked
mkdir -p build
for venv in "$tools" "$locked"; do
    [ -x "$venv/bin/pip" ] || .venv/bin/python -m venv "$venv"
done
quietly=(--quiet --disable-pip-version-check)
"$tools/bin/pip" install "${quietly[@]}" 'cyclonedx-bom>=7' 'pip-audit>=2.9' 'pip-licenses>=5'
"$locked/bin/pip" install "${quietly[@]}" --require-hashes --no-deps --only-binary :all: -r requirements-lock.txt

"$tools/bin/cyclonedx-py" environment "$locked/bin/python" --output-format JSON --output-file build/sbom.json
echo "build/sbom.json: what the image installs"

allowed='MIT;BSD;Apache;ISC;Zlib;Python Software Foundation;PSF;MPL;Mozilla;LGPL-2.1;Unlicense;CC0'
licences=("$tools/bin/pip-licenses" --python "$locked/bin/python" --from=mixed --ignore-packages pip setuptools)
"${licences[@]}" --partial-match --allow-only "$allowed" >/dev/null
"${licences[@]}" --format=markdown >build/licences.md
if [ "${1:-}" = --write ]; then
    { sed '/^|/,$d' docs/licences.md; cat build/licences.md; } >build/licences.new
    mv build/licences.new docs/licences.md
elif ! diff <(grep '^|' docs/licences.md) <(grep '^|' build/licences.md); then
    echo "docs/licences.md is not what the lock holds: scripts/supply.sh --write" >&2
    exit 1
fi
echo "docs/licences.md: complete, and all allowed"

audit=build/audit.json
rm -f "$audit"
if "$tools/bin/pip-audit" --requirement requirements-lock.txt --require-hashes --disable-pip --format json \
    --output "$audit" 2>build/audit.log; then
    echo "pip-audit: no known fault"
elif [ -s "$audit" ]; then
    cat "$audit"
    exit 1
else
    echo "pip-audit cannot reach its data: nothing is known of faults" >&2
    tail -n 1 build/audit.log >&2
fi
