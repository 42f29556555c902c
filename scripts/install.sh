#!/usr/bin/env bash
# Installs the service into the virtual environment $1, with what $2 needs:
#   serve   transcribing and serving, the demo model: neither torch nor transformers
#   export  besides, what makes the ONNX artefact of another model
#   test    besides, what the gate and the tests need
# Does nothing where that is done, and what it is made from has not changed since.
# On Linux the default build of torch brings gigabytes of CUDA. So torch alone comes first, without its
# dependencies, from PyTorch's CPU index, which is asked once and for nothing else; the rest follows from the
# ordinary index, and finds torch in place.
set -euo pipefail
venv=$1 kind=$2
python=${PYTHON:-python3}
torch=${MEDASR_TORCH:-torch==2.13.0}
index=${MEDASR_TORCH_INDEX:-https://download.pytorch.org/whl/cpu}
case $kind in
    serve) extra='' includes=(serve) ;;
    export) extra='[export]' includes=(serve export) ;;
    test) extra='[test]' includes=(serve export test) ;;
    *) echo "there is no set-up $kind" >&2 && exit 2 ;;
esac
made_from() { cat pyproject.toml requirements.txt scripts/install.sh; }
if made_from | cmp -s - "$venv/installed-$kind"; then exit 0; fi

"$python" - <<'CHECK' || { echo "Python 3.11 or newer is needed; set PYTHON to one" >&2; exit 1; }
import sys
sys.exit(sys.version_info < (3, 11))
CHECK

[ -x "$venv/bin/pip" ] || "$python" -m venv "$venv"
# Of BentoML's telemetry libraries, pip 23 tries version after version for minutes; newer ones see what fits.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25' ||
    echo "pip is an old one and cannot be renewed: this may take minutes" >&2
# Not compiled: what is imported compiles itself then, and most never is.
pip=("$venv/bin/pip" install --quiet --disable-pip-version-check --no-compile)

if [ "$kind" != serve ] && [ "$(uname -s)" = Linux ] &&
    ! "$venv/bin/python" -c 'import importlib.metadata as m; m.version("torch")' 2>/dev/null; then
    echo "installing $torch for the CPU"
    if ! "${pip[@]}" --no-deps --retries 0 --timeout 20 --index-url "$index" "$torch" 2>"$venv/torch.log"; then
        tail -n 3 "$venv/torch.log" >&2
        echo "PyTorch's CPU index cannot be reached: set MEDASR_TORCH_INDEX to one that can, or install torch" >&2
        echo "into $venv yourself ($venv/bin/pip install torch: several GB with CUDA), then run make again" >&2
        exit 1
    fi
fi
echo "installing medasr-service, with what $kind needs"
"${pip[@]}" -e ".$extra"
for each in "${includes[@]}"; do
    made_from >"$venv/installed-$each.new"
    mv "$venv/installed-$each.new" "$venv/installed-$each"
done
