#!/usr/bin/env bash
# Starts the service, waits until it is ready, says how to use it, and stops it with Ctrl-C.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/.venv/bin
{ read -r host port keys && read -r model missing; } < <("$bin/python" -c '
from medasr_service import engines, settings
from medasr_service.errors import ModelUnavailable
from medasr_service.serving import start
found = settings.load()
start.check_home()
print(found.host, found.port or settings.PORTS["medasr"], len(found.keys))
try:
    print(found.model, *engines.missing(found))
except ModelUnavailable:
    print(found.model)  # the service says what is wrong, too
') || true
[ -n "${model:-}" ] || exit 2
if [ -n "$missing" ]; then
    echo "medasr: $model has no ONNX artefact here: installing what makes one, once ($missing)"
    scripts/install.sh .venv export
fi
key=
[ "$keys" = 0 ] || key=" -H 'Authorization: Bearer '\"\$KEY\"" # not the key itself: a terminal is no place for it
case $host in
    0.0.0.0) name=127.0.0.1 ;;
    ::) name="[::1]" ;;
    *:*) name="[$host]" ;;
    *) name=$host ;;
esac
address=http://$name:$port

if curl --noproxy '*' --silent --output /dev/null --max-time 2 "$address/livez"; then
    echo "medasr: port $port is in use; choose another with MEDASR_PORT" >&2
    exit 1
fi
"$bin/bentoml" serve service:MedASR &
server=$!
trap 'kill -TERM "$server" 2>/dev/null || true; wait "$server" || true' EXIT # with the status of what came before
trap 'exit 130' INT
trap 'exit 143' TERM

until curl --noproxy '*' --silent --fail --output /dev/null --max-time 2 "$address/readyz"; do
    kill -0 "$server" 2>/dev/null || { wait "$server" || exit $?; exit 1; }
    sleep 0.5
done
cat <<EOF2

MedASR is ready. Dictate and drop recordings in a browser: $address/
Or try it here:
  curl$key $address/v1/audio/transcriptions -F file=@medasr_service/demo_model/sample.wav
Documentation: $address/docs

EOF2
wait "$server"
