#!/usr/bin/env bash
# Creates the virtual environment $1 and installs the service with everything its tests need.
# On Linux the default build of torch brings gigabytes of CUDA. So torch alone comes first, without its
# dependencies, from PyTorch's CPU index, which is asked once and for nothing else; the rest follows from the
# ordinary index, and finds torch in place.
set -euo pipefail
venv=$1
python=${PYTHON:-python3}
torch=${MEDASR_TORCH:-torch==2.13.0}
index=${MEDASR_TORCH_INDEX:-https://download.pytorch.org/whl/cpu}

"$python" - <<'CHECK' || { echo "Python 3.11 or newer is needed; set PYTHON to one" >&2; exit 1; }
import sys
sys.exit(sys.version_info < (3, 11))
CHECK

[ -x "$venv/bin/pip" ] || "$python" -m venv "$venv"
pip=("$venv/bin/pip" install --quiet --disable-pip-version-check)

if [ "$(uname -s)" = Linux ] && ! "$venv/bin/python" -c 'import importlib.metadata as m; m.version("torch")' 2>/dev/null; then
    echo "installing $torch for the CPU"
    if ! "${pip[@]}" --no-deps --retries 0 --timeout 20 --index-url "$index" "$torch" 2>"$venv/torch.log"; then
        tail -n 3 "$venv/torch.log" >&2
        echo "PyTorch's CPU index cannot be reached: set MEDASR_TORCH_INDEX to one that can, or install torch" >&2
        echo "into $venv yourself ($venv/bin/pip install torch: several GB with CUDA), then run make again" >&2
        exit 1
    fi
fi
echo "installing medasr-service"
"${pip[@]}" -e '.[test]'
