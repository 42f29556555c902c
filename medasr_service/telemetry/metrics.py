"""The catalogue: every series of ours on /metrics, with its help and its labels; docs/metrics.md shows it.

Names end in their unit, after Prometheus' rules. A label has few values, all of them ours: routes as
api/labels has them, codes of errors.py, names of keys from the operator's file; nothing that a client wrote.
All processes of a service write into one folder, and /metrics adds them up: a gauge counts for as long as its
process lives.
"""

from prometheus_client import Counter, Gauge, Histogram

from medasr_service.telemetry.account import OK, Account

# Seconds: from a clip that is there at once to a recording of three hours on a busy machine.
TO_HOURS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180, 600, 1800, 3600, 7200)
TO_MINUTES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)  # of one window or batch
OF_RECORDINGS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 10_800)
OF_LIVE_DELAYS = (0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30)
OF_RATIOS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 2, 5)  # 1: as long as it lasts
OF_BATCHES = (1, 2, 3, 4, 6, 8, 12, 16, 32)

REASONS = (
    *("places", "share_of_client", "connections", "sockets_of_client", "draining", "not_ready", "model_lost"),
    *("no_decoder", "no_room", "invalid_api_key", "forbidden", "upload_stalled", "upload_too_large"),
    *("rate_limit_exceeded", "audio_too_long", "header_timeout", "header_too_large", "bad_request"),
)
TURNS = ("completed", "failed", "cleared")
STAGES = ("upload", "decode", "wait", "inference", "stitch", "text")

# --- Requests
REQUESTS = Counter(
    "medasr_requests",
    "Requests and live sessions that are over, by outcome: ok, or the code of the error",
    ["route", "format", "code"],
)
REFUSALS = Counter(
    "medasr_refusals",
    "Requests, sockets and connections turned away before any work, by the reason why",
    ["reason"],
)
REQUEST_SECONDS = Histogram(
    "medasr_request_duration_seconds",
    "From the header of a request to the last byte of its answer",
    ["route"],
    buckets=TO_HOURS,
)
FIRST_BYTE_SECONDS = Histogram(
    "medasr_request_first_byte_seconds",
    "From the header of a request to the first byte of its answer",
    ["route"],
    buckets=TO_HOURS,
)
STAGE_SECONDS = Histogram(
    "medasr_request_stage_seconds",
    "What a transcription spent in one stage, all its windows together; stages overlap",
    ["stage"],
    buckets=TO_HOURS,
)
REAL_TIME_FACTOR = Histogram(
    "medasr_request_real_time_factor_ratio",
    "Duration of a transcription, behind its upload, over that of its recording",
    buckets=OF_RATIOS,
)
UPLOAD_BYTES = Counter("medasr_upload_bytes", "Bytes of request bodies that were read", ["route"])

# --- Keys
KEY_REQUESTS = Counter(
    "medasr_key_requests",
    "Requests and live sessions that a key has begun; its name is the operator's",
    ["key"],
)
KEY_AUDIO_SECONDS = Counter("medasr_key_audio_seconds", "Sound that came with a key", ["key"])

# --- Audio
AUDIO_RECEIVED_SECONDS = Counter(
    "medasr_audio_received_seconds", "Sound that came, as far as it could be read", ["route"]
)
AUDIO_TRANSCRIBED_SECONDS = Counter(
    "medasr_audio_transcribed_seconds", "Sound that the model has heard, window by window", ["route"]
)
RECORDING_SECONDS = Histogram(
    "medasr_recording_duration_seconds", "Length of a recording that was sent", buckets=OF_RECORDINGS
)
DECODE_FAILURES = Counter(
    "medasr_decode_failures",
    "Recordings that could not be read: the code of the error, or crashed where they broke their decoder",
    ["reason"],
)
UNCLEAR = Counter("medasr_unclear_marks", "Places in transcripts that a person must look at", ["kind"])

# --- Model
WINDOWS_WAITING = Gauge(
    "medasr_windows_waiting", "Windows that wait for the model", multiprocess_mode="livesum"
)
WINDOWS_RUNNING = Gauge(
    "medasr_windows_running", "Windows that are with the model", multiprocess_mode="livesum"
)
WINDOWS_RUNNING_SECONDS = Gauge(
    "medasr_windows_running_audio_seconds", "Sound that is with the model", multiprocess_mode="livesum"
)
WINDOW_WAIT_SECONDS = Histogram(
    "medasr_window_wait_seconds", "What a window waited for the model", buckets=TO_MINUTES
)
WINDOW_SECONDS = Histogram(
    "medasr_window_inference_seconds",
    "From handing a window to the model until its answer: its batch, and the one before",
    buckets=TO_MINUTES,
)
BATCH_WINDOWS = Histogram("medasr_batch_size_windows", "Windows in a batch of the model", buckets=OF_BATCHES)
BATCH_SECONDS = Histogram("medasr_batch_duration_seconds", "One run of a batch", buckets=TO_MINUTES)
BATCH_AUDIO_SECONDS = Counter("medasr_batch_audio_seconds", "Sound that the model has run over")
BATCH_PADDING_SECONDS = Counter(
    "medasr_batch_padding_seconds", "Silence that it has run over besides, to make windows of a batch equal"
)
MODEL_READY = Gauge(
    "medasr_model_ready",
    "1 where the model has run and new work is admitted, of each process that answers",
    multiprocess_mode="livesum",
)
MODEL_LOSSES = Counter("medasr_model_losses", "Times that a worker of the model ended or hung")

# --- Places
TRANSCRIPTIONS = Gauge(
    "medasr_transcriptions_running", "Places for transcriptions in use", multiprocess_mode="livesum"
)
TRANSCRIPTIONS_LIMIT = Gauge(
    "medasr_transcriptions_limit", "Places for transcriptions", multiprocess_mode="livesum"
)
LIVE_SESSIONS = Gauge("medasr_live_sessions_running", "Live sessions", multiprocess_mode="livesum")
LIVE_SESSIONS_LIMIT = Gauge(
    "medasr_live_sessions_limit", "Places for live sessions", multiprocess_mode="livesum"
)
SPOOL_BYTES = Gauge(
    "medasr_spool_bytes", "What uploads under way hold, by place", ["place"], multiprocess_mode="livesum"
)
SPOOL_LIMIT_BYTES = Gauge(
    "medasr_spool_memory_limit_bytes",
    "What uploads may hold in memory; the rest goes to the disk",
    multiprocess_mode="livesum",
)
SPOOL_DISK_FREE_BYTES = Gauge(
    "medasr_spool_disk_free_bytes",
    "Room on the disk of uploads, beyond the reserve that they leave free; at 0 they get 503",
    multiprocess_mode="livemax",
)

JOBS = Gauge(
    "medasr_jobs",
    "Jobs that are kept, by state; where several machines share a database, all of theirs",
    ["state"],
    multiprocess_mode="livemax",
)

# --- Live
LIVE_DELAY_SECONDS = Histogram(
    "medasr_live_delay_seconds",
    "From the arrival of the end of the last word to the event that has it",
    ["event"],
    buckets=OF_LIVE_DELAYS,
)
LIVE_TURNS = Counter("medasr_live_turns", "Turns of live sessions, by how they ended", ["outcome"])

# --- Processes
BUILD_INFO = Gauge("medasr_build_info", "1: the version that runs", ["version"], multiprocess_mode="livemax")
MODEL_INFO = Gauge(
    "medasr_model_info",
    "1: the model that is served",
    ["model", "revision", "engine", "demo"],
    multiprocess_mode="livemax",
)
DRAINING = Gauge(
    "medasr_draining", "1 where the service leaves, and admits nothing new", multiprocess_mode="livemax"
)
WORKER_STARTS = Counter(
    "medasr_worker_starts", "Starts of a process: restarts, from the second on", ["worker"]
)


def start() -> None:
    """What is few is there from the start, at 0: whoever waits for the first of them sees it grow."""
    for reason in REASONS:
        REFUSALS.labels(reason)
    for worker in ("entry", "model"):
        WORKER_STARTS.labels(worker)
    for place in ("memory", "disk"):
        SPOOL_BYTES.labels(place)
    for kind in ("doubt", "placeholder"):
        UNCLEAR.labels(kind)
    for outcome in TURNS:
        LIVE_TURNS.labels(outcome)
    for event in ("delta", "completed"):
        LIVE_DELAY_SECONDS.labels(event)
    for stage in STAGES:
        STAGE_SECONDS.labels(stage)


def count(account: Account) -> None:
    """A request, or a live session, that is over."""
    route = account.route
    REQUESTS.labels(route, account.format, account.code).inc()
    UPLOAD_BYTES.labels(route).inc(account.upload_bytes)
    REQUEST_SECONDS.labels(route).observe(account.whole_s)
    if account.reason:
        REFUSALS.labels(account.reason).inc()
    if account.first_byte_s is not None:
        FIRST_BYTE_SECONDS.labels(route).observe(account.first_byte_s)
    if account.is_live:
        return
    for name, seconds in account.stages.items():
        STAGE_SECONDS.labels(name).observe(seconds)
    if account.code == OK and account.audio_s:
        work_s = account.whole_s - account.stages.get("upload", 0.0)
        REAL_TIME_FACTOR.observe(work_s / account.audio_s)
