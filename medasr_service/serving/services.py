"""The BentoML services: MedASRModel runs the network, once for each worker, MedASR answers requests. Wiring
only.

BentoML imports this module in each of its processes: the supervisor, the model's, the entry's. What only one
of them needs is imported where that one needs it, for their memory and for the time of a start.
"""

import asyncio
import logging
import os
import signal
from contextlib import suppress
from functools import cache, partial
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import bentoml
import numpy as np
from bentoml import IODescriptor
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.context import server_context
from bentoml._internal.marshal import dispatcher
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from medasr_service import settings
from medasr_service.errors import MedASRError, ModelUnavailable, UsageError
from medasr_service.model import digests
from medasr_service.model.checkpoint import DEMO_NOTICE, resolve
from medasr_service.serving import (
    address,
    batches,
    connections,
    layout,
    logs,
    metrics_folder,
    middleware,
    preparation,
    secrets,
    shutdown,
    supervisor,
)
from medasr_service.serving.batching import Prompt, Traced
from medasr_service.serving.hop import Hop
from medasr_service.telemetry import metrics, traces
from medasr_service.version import VERSION

if TYPE_CHECKING:
    from fastapi import FastAPI

    from medasr_service.serving.accounting import Accounting

SETTINGS = settings.load()
LAYOUT = layout.heard(SETTINGS)
PORT = SETTINGS.port or settings.PORTS["medasr"]
SUPERVISOR = shutdown.adopt()  # None in the supervisor itself
if SUPERVISOR is not None:
    # In BentoML's series, from the first on: outside of a Bento it knows none, and inside its own.
    setattr(type(server_context), "bento_version", property(lambda _: VERSION, lambda *_: None))  # noqa: B010
    secrets.wipe()  # they are in the settings now, and nowhere that children or others look
    connections.install(SETTINGS)
logs.set_up(SETTINGS.log_format)
NEVER_S = 1_000_000_000
LARGE_PAGES = "glibc.malloc.hugetlb=1"  # asks the kernel for them, where it gives them to who asks
DISK_LOOK_S = 2.0  # between two looks at what uploads may take of it

log = logging.getLogger("bentoml.medasr")


def warn_where_open(host: str) -> None:
    """Told by the supervisor, whatever it was that named the address."""
    if SETTINGS.is_open and not ip_address(host).is_loopback:
        log.warning("no API key is set (MEDASR_API_KEYS): everyone who reaches %s is served", host)


supervisor.install(warn_where_open)


@cache
def application() -> "FastAPI":
    from medasr_service.api.app import create_app

    return create_app(SETTINGS)


@cache
def accounting() -> "Accounting":
    from medasr_service.serving.accounting import Accounting

    return Accounting.of(SETTINGS)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    await application()(scope, receive, send)


def hop(app: ASGIApp) -> ASGIApp:
    return Hop(app)


dispatcher.Optimizer = Prompt  # type: ignore[misc]  # or a burst of users slows every later file
middleware.install(answers=SUPERVISOR is not None)
if SUPERVISOR is not None and traces.is_wanted():
    from _bentoml_impl.server import app as bentoml_app

    bentoml_app.CorkDispatcher = Traced


def route_labels(app: ASGIApp) -> ASGIApp:
    from medasr_service.api.labels import RouteLabels

    audit = accounting().audit
    return RouteLabels(app, told=[audit.end] if audit else [])


def origin_check(app: ASGIApp) -> ASGIApp:
    from medasr_service.api.origins import OriginCheck

    return OriginCheck(app, settings=SETTINGS)


def key_check(app: ASGIApp) -> ASGIApp:
    from medasr_service.api.keys import KeyCheck

    return KeyCheck(app, settings=SETTINGS, **vars(accounting()))


def body_limit(app: ASGIApp) -> ASGIApp:
    from medasr_service.api.pace import Patience
    from medasr_service.api.uploads import BodyLimit

    patience = Patience(SETTINGS.upload_idle_timeout_s, SETTINGS.upload_min_kb_per_s)
    return BodyLimit(app, max_upload_mb=SETTINGS.max_upload_mb, patience=patience)


class Model:
    """Loads the checkpoint once; its calls meet in batches."""

    def __init__(self) -> None:
        from medasr_service import engines
        from medasr_service.engines import cpu

        if LAYOUT.workers > 1:
            names = [each.name for each in models(LAYOUT.workers)]
            cpu.stay_near(names.index(server_context.service_name), LAYOUT.threads)
        configured, found = SETTINGS.model_copy(update={"threads": LAYOUT.threads}), resolve(SETTINGS)
        self._engine = engines.load(found, configured, shared=LAYOUT.workers > 1)
        self._sample_rate = found.geometry.sample_rate
        metrics.WORKER_STARTS.labels("model").inc()
        traces.start(VERSION)
        self._callers: set[int] = set()

    @bentoml.on_startup
    async def stay_for_callers(self) -> None:
        """SIGTERM comes to both services at once; what is under way in the other one needs this one.

        So does SIGHUP where a terminal closes, and the supervisor says then what is to be done.
        """
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        shutdown.defer(
            lambda: shutdown.until_gone(self._callers), SETTINGS.drain_timeout_s, parent=SUPERVISOR
        )

    @bentoml.on_shutdown
    def deliver_spans(self) -> None:
        traces.stop()

    # A job that would wait longer than max_latency_ms is dropped: a long file must not lose a window.
    @bentoml.api(
        batchable=True,
        batch_dim=0,
        max_batch_size=SETTINGS.max_batch_size,
        max_latency_ms=SETTINGS.request_timeout_s * 1000,
    )
    def infer(self, waveforms: list[np.ndarray]) -> list[np.ndarray]:
        windows = [each for each in waveforms if len(each)]
        with batches.counted([len(each) for each in windows], self._sample_rate):
            heard = iter(self._engine.infer(windows))
        return [next(heard) if len(each) else each for each in waveforms]

    @bentoml.api
    def engine(self, caller_pid: int) -> list[str]:
        """What runs the network, and in which process; it runs for as long as the calling one does."""
        self._callers.add(caller_pid)
        return [self._engine.name, str(os.getpid())]


def _model_service(name: str) -> bentoml.Service[Model]:
    """A service for each worker: so each has a socket of its own, is asked, watched and replaced by itself.
    Of several processes behind one socket nobody could say which has a window, or hangs.
    """
    service: bentoml.Service[Model] = bentoml.service(
        name=name,
        workers=1,
        # A pass touches all weights, and what it needs between them is given back after it.
        envs=[{"name": "GLIBC_TUNABLES", "value": os.environ.get("GLIBC_TUNABLES") or LARGE_PAGES}],
        traffic={"timeout": SETTINGS.request_timeout_s},
        # The client between the services closes its session every so many requests, also those under way in
        # it.
        runner_connection={"max_requests": NEVER_S, "max_age": float(NEVER_S)},
        logging={"access": {"enabled": False}},  # a line for each window of each request helps nobody
    )(Model)
    if traces.is_wanted():
        service.add_asgi_middleware(hop)
    return service


@cache
def models(workers: int) -> tuple[bentoml.Service[Model], ...]:
    """medasr-model, medasr-model-2, ..."""
    further = (_model_service(f"{MedASRModel.name}-{number}") for number in range(2, workers + 1))
    return (MedASRModel, *further)


MedASRModel = _model_service("medasr-model")


class NativeInput(IODescriptor):  # type: ignore[misc]
    """What BentoML's clients send: a file. The request is handed on as it is, to be read as any other upload
    is: BentoML's own reading of a Path writes the audio to a named file, and fetches it where a URL is given.
    """

    audio: Path

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> "NativeInput":
        return cast("NativeInput", cls.model_construct(audio=request))


@bentoml.service(
    name="medasr",
    workers=1,
    http={"host": SETTINGS.host, "port": PORT},
    traffic={"timeout": SETTINGS.request_timeout_s},
    runner_probe={"enabled": False},  # the entry knows better: it watches the model
    logging={"access": {"enabled": False}},  # there is a line of our own
    metrics={"duration": {"buckets": [float(each) for each in metrics.TO_HOURS]}},
)
@bentoml.asgi_app(app, path="/")
class MedASR:
    """The entry: the mounted application, and a native BentoML API."""

    model = bentoml.depends(MedASRModel)  # the others: _depend_on

    @bentoml.on_deployment
    @staticmethod
    def prepare() -> None:
        """Once, before any worker starts: without its model and its port the service does not start."""
        from medasr_service.serving import accounting

        host, port = address.asked_for(SETTINGS.host, PORT)
        if reason := address.refusal(host, port):
            raise SystemExit(f"medasr: {reason}")
        _check_bentoml_config()
        try:
            accounting.check(SETTINGS)
            found, known, chosen = preparation.elsewhere(partial(preparation.check, SETTINGS))
        except OSError as error:
            folder = SETTINGS.spool_dir or "the system's temporary folder"
            raise SystemExit(f"medasr: no upload can be kept in {folder}: {error.strerror}") from None
        except (ModelUnavailable, UsageError) as error:
            raise SystemExit(f"medasr: {error}") from None
        os.environ[digests.VARIABLE] = known
        layout.tell(chosen)
        _depend_on(chosen.workers)
        MedASR.inject_config()  # type: ignore[attr-defined]  # of the workers, too
        log.info("serving %s (%s) on port %d", found.id, found.revision, port)
        if chosen.workers > 1:
            log.info("%d workers run the model, %d threads each", chosen.workers, chosen.threads)
        if found.demo:
            log.warning("%s: %s", found.id, DEMO_NOTICE)

    def __init__(self) -> None:
        from medasr_service.api.served import Served
        from medasr_service.audio.processes import Decoders
        from medasr_service.engines import MAX_GROUP_SAMPLES, cpu
        from medasr_service.serving.admission import Admission
        from medasr_service.serving.model_process import ModelProcess
        from medasr_service.transcriber import Transcriber

        self._decoders = Decoders(cpu.quota())
        self._decoders.start()  # they load while this goes on
        found = resolve(SETTINGS)
        several = LAYOUT.workers > 1
        self._workers = [
            ModelProcess(
                partial(self._calls, name),
                name=f"worker {number} of the model" if several else "the model's process",
                sample_rate=found.geometry.sample_rate,
                warm_up_samples=found.geometry.receptive_samples,
                timeout_s=SETTINGS.model_timeout_s,
                came=self._worker_came,
                went=self._worker_went,
            )
            for number, name in enumerate(MedASR.dependencies, 1)  # type: ignore[attr-defined]
        ]
        self._admission = Admission(self._workers, MAX_GROUP_SAMPLES, found.geometry.sample_rate)
        in_flight = SETTINGS.chunks_in_flight + LAYOUT.workers - 1  # a file alone keeps all of them busy
        configured = SETTINGS.model_copy(update={"chunks_in_flight": in_flight})
        transcriber = Transcriber.of(found, self._admission.infer, configured, self._decoders)
        self._served = Served(
            found,
            transcriber,
            SETTINGS.max_concurrent_requests,
            max_live_streams=SETTINGS.max_live_streams,
            aliases=tuple(SETTINGS.model_aliases),
            client_share=SETTINGS.client_share,
        )
        application().state.served = self._served
        _count_start()

    def _calls(self, name: str) -> Any:
        """BentoML's client of a worker, which it makes when it is first asked for, in the running process."""
        return getattr(self, name).to_async

    def _worker_came(self, engine: str) -> None:
        """With the first, the service is ready."""
        if not self._served.ready:
            self._served.come(engine)
            log.info("ready: %s, %s", self._served.checkpoint.id, engine)
        self._admission.look()

    def _worker_went(self) -> None:
        metrics.MODEL_LOSSES.inc()
        if not any(each.is_there for each in self._workers):
            self._served.lose()
        self._admission.look()

    @bentoml.on_startup
    async def start_warm_up(self) -> None:
        shutdown.defer(self._drain, SETTINGS.drain_timeout_s, parent=SUPERVISOR, hand_over=True)
        self._keeping = [asyncio.create_task(each.keep()) for each in self._workers]
        for each in self._keeping:
            each.add_done_callback(_log_failure)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, accounting().keys.reload)
        self._looking = [asyncio.create_task(each) for each in (*accounting().kept(), _look_at_disk())]
        for each in self._looking:
            each.add_done_callback(_log_failure)
        if SETTINGS.jobs:
            from medasr_service.serving import jobs

            state = application().state
            state.jobs = jobs.of(SETTINGS, self._served, self._admission, state.upload_room, accounting())
            self._jobs = asyncio.create_task(state.jobs.keep())
            self._jobs.add_done_callback(_log_failure)

    async def _drain(self) -> None:
        """Jobs are left where they are: whoever starts next goes on."""
        if jobs := application().state.jobs:
            self._jobs.cancel()
            await asyncio.to_thread(jobs.close)
        await self._served.drain()

    @bentoml.on_shutdown
    def end(self) -> None:
        """Nothing of the service outlives it."""
        self._decoders.close()
        accounting().close()
        traces.stop()
        if os.getppid() != SUPERVISOR:  # gone: nobody else clears away behind it
            metrics_folder.remove(os.environ[metrics_folder.VARIABLE])

    async def __is_ready__(self) -> bool:
        return self._served.ready

    @bentoml.api(input_spec=NativeInput)
    async def transcribe(self, audio: Any) -> dict[str, Any]:
        """The transcript of a recording, as verbose_json with words; errors in OpenAI's shape, here too."""
        from medasr_service.api import transcriptions
        from medasr_service.api.refusals import error_response
        from medasr_service.text import formats

        try:
            state = application().state
            transcript = await transcriptions.transcribe_upload(audio, state, file_field="audio")
        except MedASRError as error:
            return cast("dict[str, Any]", error_response(error))  # BentoML sends a Response as it is
        return {**formats.to_verbose_json(transcript, words=True), **self._served.notice}


def _depend_on(workers: int) -> None:
    """As `model` in the class itself: BentoML starts a process for each."""
    for number, each in enumerate(models(workers)[1:], 2):
        name, dependency = f"model_{number}", bentoml.depends(each)
        setattr(MedASR.inner, name, dependency)  # type: ignore[attr-defined]
        MedASR.dependencies[name] = dependency  # type: ignore[attr-defined]


def _check_bentoml_config() -> None:
    """Raises SystemExit where BentoML's own configuration has several processes behind one socket."""
    configured = BentoMLContainer.config.services.get()
    for name in ("medasr", MedASRModel.name):
        if (configured[name].get("workers") or 1) != 1:
            raise SystemExit(
                f"medasr: the configuration of BentoML sets workers of {name}: set MEDASR_WORKERS instead"
            )


_depend_on(LAYOUT.workers)  # in the processes of the supervisor, as in itself


def _count_start() -> None:
    metrics.WORKER_STARTS.labels("entry").inc()
    traces.start(VERSION)
    metrics.BUILD_INFO.labels(VERSION).set(1)
    metrics.start()


async def _look_at_disk() -> None:
    from medasr_service.api import spool

    while True:
        with suppress(OSError):
            metrics.SPOOL_DISK_FREE_BYTES.set(await asyncio.to_thread(spool.free_bytes, SETTINGS))
        await asyncio.sleep(DISK_LOOK_S)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("what runs beside the requests has ended", exc_info=error)


# The first is the outermost.
MedASR.add_asgi_middleware(route_labels)  # type: ignore[attr-defined]
MedASR.add_asgi_middleware(origin_check)  # type: ignore[attr-defined]
MedASR.add_asgi_middleware(key_check)  # type: ignore[attr-defined]
MedASR.add_asgi_middleware(body_limit)  # type: ignore[attr-defined]
