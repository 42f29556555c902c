"""The whole service as one BentoML service, for where each service of a Bento is started in pods of its own
(BentoCloud), which those of services.py must not be: `bentoml serve medasr_service.serving.as_one:MedASR`.

Its command is the service itself, on MEDASR_PORT of this machine; BentoML's process stands before it as a
proxy, and reads neither keys nor sound.
"""

import os
import signal
import sys
from contextlib import suppress
from http.client import HTTPConnection, HTTPException

import bentoml
from _bentoml_impl.server import app as bentoml_app
from _bentoml_impl.server import proxy

from medasr_service import settings
from medasr_service.serving import logs, middleware, shutdown, supervisor
from medasr_service.serving.front import Front, patient, without_pages

SETTINGS = settings.load()
PORT = SETTINGS.port or settings.PORTS["medasr"]
SUPERVISOR = shutdown.adopt()  # None in the supervisor itself
PROBE_S = 5.0
LATER_S = 60.0  # the service's own limits come first, with answers of its own
# What the platform says to BentoML is for the proxy.
OF_THE_PROXY = ("BENTOML_CONFIG", "BENTOML_CONFIG_OPTIONS", "BENTOML_RUNNER_MAP", "BENTOCLOUD_DEPLOYMENT_URL")

logs.set_up(SETTINGS.log_format)
middleware.install(answers=SUPERVISOR is not None)
supervisor.install(lambda host: None, keep_all=True)
bentoml_app.create_proxy_app = lambda service: without_pages(proxy.create_proxy_app(service))
proxy._check_health = patient(proxy._check_health)


def _check_keys() -> None:
    """Behind a proxy every client comes from this machine, so that nothing else would keep strangers out."""
    if SETTINGS.is_open:
        raise SystemExit(
            "medasr: it is reached from outside here: set MEDASR_API_KEYS or MEDASR_API_KEYS_FILE"
        )


def _answers(path: str) -> bool:
    connection = HTTPConnection("127.0.0.1", PORT, timeout=PROBE_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


@bentoml.service(
    name="medasr",
    workers=1,  # of BentoML's: the first starts the service, which has workers of its own
    http={"proxy_port": PORT},
    endpoints={"livez": "/livez", "readyz": "/readyz"},
    # Two CPUs and 3 GiB as in deploy/kubernetes, and what the proxy takes
    resources={"cpu": "2", "memory": "3.5Gi"},
    traffic={
        "timeout": SETTINGS.request_timeout_s + LATER_S,
        "concurrency": 2,  # one that is heard and one that waits: beyond, another replica is wanted
        "external_queue": False,  # what was said lies in no queue of others
    },
    metrics={"enabled": False},  # /metrics is the service's own, and wants a key
    logging={"access": {"enabled": False}},
    runner_probe={"enabled": False},
)
class MedASR:
    """`medasr serve` behind BentoML's proxy."""

    @bentoml.on_deployment
    @staticmethod
    def prepare() -> None:
        """In the supervisor, before anything is started."""
        _check_keys()

    def __command__(self) -> list[str]:
        _check_keys()
        for name in OF_THE_PROXY:
            os.environ.pop(name, None)
        if SUPERVISOR is not None:
            os.environ["FORWARDED_ALLOW_IPS"] = "127.0.0.1"  # whom the proxy believes, it has asked itself
        os.environ["MEDASR_PORT"] = str(PORT)
        return [sys.executable, "-m", "medasr_service.serving.tied"]

    def __is_alive__(self) -> bool:
        return _answers("/livez")

    def __is_ready__(self) -> bool:
        return _answers("/readyz")

    @bentoml.on_startup
    async def stay_for_the_service(self) -> None:
        """On SIGTERM the service leaves as it does alone, and the proxy behind it."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the keys' file is read again where it changes
        shutdown.defer(_service_has_left, SETTINGS.drain_timeout_s + LATER_S, parent=SUPERVISOR)


async def _service_has_left() -> None:
    process = MedASR.context.state["proc"]  # type: ignore[attr-defined]
    with suppress(ProcessLookupError):
        process.terminate()
    await process.wait()
    process.terminate = lambda: None  # BentoML's next, which fails where there is no process


MedASR.add_asgi_middleware(Front)  # type: ignore[attr-defined]
