#!/usr/bin/env bash
# Makes medasr_service/api/panel/vendor/ anew: the libraries of the panel, each one file without what the panel does not
# use, headed by its versions and licences. Needs npm. The files are kept in git: nothing else needs it.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
cd "$built"
echo '{"private": true}' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts docx@9.15.2 fflate@0.8.3 nanoid@6.0.2 dictation_support@1.0.5 esbuild@0.28.2
node node_modules/esbuild/install.js

# vendored NAME EXPORTS PACKAGE...: one module that exports these of the first package, and holds all of them
vendored() {
    local name=$1 exports=$2 package
    shift 2
    {
        echo "/*!"
        echo "Made by scripts/vendor.sh: what the panel uses of"
        for package in "$@"; do
            node -p "const p = require('./node_modules/$package/package.json'); '\n' + p.name + ' ' + p.version + ', ' + p.license + '\n'"
            cat "node_modules/$package/LICENSE"
        done
        echo "*/"
    } >banner
    echo "export { $exports } from \"$1\";" >entry.mjs
    npx esbuild entry.mjs --bundle --minify --format=esm --platform=browser --legal-comments=none \
        --log-level=error --outfile=bundled.js
    cat banner bundled.js >"$root/medasr_service/api/panel/vendor/$name"
}

mkdir -p "$root/medasr_service/api/panel/vendor"
vendored docx.js "Document, HeadingLevel, Packer, Paragraph, TextRun" docx fflate nanoid
vendored fflate.js "strToU8, zipSync" fflate
vendored dictation_support.js "ButtonEvent, DictationDeviceManager" dictation_support
ls -l "$root/medasr_service/api/panel/vendor"
