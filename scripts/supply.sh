#!/usr/bin/env bash
# Looks at what the images install: writes build/sbom.json and build/sbom-jobs.json (CycloneDX), checks the licences and
# docs/licences.md, and asks the advisory database for known faults where that can be reached.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=build/supply-tools
quietly=(--quiet --disable-pip-version-check)
mkdir -p build
[ -x "$tools/bin/pip" ] || .venv/bin/python -m venv "$tools"
"$tools/bin/pip" install "${quietly[@]}" 'cyclonedx-bom>=7' 'pip-audit>=2.9' 'pip-licenses>=5'

allowed='MIT;BSD;Apache;ISC;Zlib;Python Software Foundation;PSF;MPL;Mozilla;LGPL-2.1;Unlicense;CC0'
# looked_at LOCK NAME ALLOWED [PACKAGE...]: the table of licences goes to build/licences$NAME.md, of these packages alone
looked_at() {
    local lock=$1 name=$2 allow=$3 locked=build/supply-locked$2
    shift 3
    [ -x "$locked/bin/pip" ] || .venv/bin/python -m venv "$locked"
    "$locked/bin/pip" install "${quietly[@]}" --require-hashes --no-deps --only-binary :all: -r "$lock"
    "$tools/bin/cyclonedx-py" environment "$locked/bin/python" --output-format JSON --output-file "build/sbom$name.json"
    local licences=("$tools/bin/pip-licenses" --python "$locked/bin/python" --from=mixed --ignore-packages pip setuptools)
    "${licences[@]}" --partial-match --allow-only "$allow" >/dev/null
    [ $# -eq 0 ] || licences+=(--packages "$@")
    "${licences[@]}" --format=markdown >"build/licences$name.md"
}
pins() { grep -oE '^[a-z0-9._-]+==[^ ]+' "$1" | sort; }
mapfile -t more < <(comm -13 <(pins requirements-lock.txt) <(pins requirements-lock-jobs.txt) | sed 's/==.*//')
looked_at requirements-lock.txt "" "$allowed"
looked_at requirements-lock-jobs.txt -jobs "$allowed;LGPL" "${more[@]}"
echo "build/sbom.json, build/sbom-jobs.json: what the images install"

found() {
    cat build/licences.md
    printf '\n%s\n\n' "The image of \`make jobs-image\` has these besides, or in another version:"
    cat build/licences-jobs.md
}
if [ "${1:-}" = --write ]; then
    { sed '/^|/,$d' docs/licences.md; found; } >build/licences.new
    mv build/licences.new docs/licences.md
elif ! diff <(grep '^|' docs/licences.md) <(found | grep '^|'); then
    echo "docs/licences.md is not what the locks hold: scripts/supply.sh --write" >&2
    exit 1
fi
echo "docs/licences.md: complete, and all allowed"

# Of all that either installs: where the versions differ, of both.
for name in "" -jobs; do
    audit=build/audit$name.json
    rm -f "$audit"
    if "$tools/bin/pip-audit" --requirement "requirements-lock$name.txt" --require-hashes --disable-pip --format json \
        --output "$audit" 2>build/audit.log; then
        echo "pip-audit: no known fault in requirements-lock$name.txt"
    elif [ -s "$audit" ]; then
        cat "$audit"
        exit 1
    else
        echo "pip-audit cannot reach its data: nothing is known of faults" >&2
        tail -n 1 build/audit.log >&2
    fi
done
