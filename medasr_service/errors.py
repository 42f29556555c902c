"""Everything that can go wrong, with the HTTP status, type and code that the OpenAI contract gives it.

MedASRError                   500
├── InvalidRequest            400  a field of the request is wrong (``param`` names it)
│   ├── InvalidAudio          400  audio, but not usable
│   │   ├── EmptyAudio        400  no bytes, or no samples
│   │   ├── TruncatedAudio    400  the file ends before the end that it announces
│   │   ├── AudioTooLong      413  more seconds than ``max_duration_s``
│   │   └── UnsupportedAudio  415  not a known audio format
│   ├── UploadStalled         408  nothing came for ``upload_idle_timeout_s``, or too little in all
│   ├── UploadTooLarge        413  more bytes than ``max_upload_mb``
│   ├── ModelNotFound         404  no such model here
│   ├── JobNotFound           404  no such job, or another client's
│   ├── UrlRefused            400  a job must not ask the host of this address
│   ├── Unauthorized          401  no API key, or a wrong one
│   └── Forbidden             403  a page of another origin, or a host name that may be one's
├── ClientDisconnected        499  nobody waits for the answer any more (nginx's code)
├── Busy                      429  ``max_concurrent_requests`` are under way
├── RateLimited               429  a limit of the API key is reached
├── NotReady                  503  the model has not run yet, or cannot be reached
│   ├── NoRoom                503  the disk that keeps uploads is full
│   ├── AuditUnavailable      503  what was to be audited cannot be (``audit_required``)
│   └── Draining              503  the service leaves, and finishes only what it has begun
├── TimedOut                  504  no answer within ``request_timeout_s``
├── ModelUnavailable          500  the checkpoint cannot be had or read: the service does not start
└── UsageError                     a command cannot start with what it was given; never over HTTP

An error states the fact and the limit, in words that may be shown to a stranger.
"""


class MedASRError(Exception):
    """Base of all errors that are raised on purpose; the text is fit for the client."""

    status = 500
    type = "server_error"
    code: str | None = None
    retry_after_s: int | None = None

    def __init__(self, message: str, *, param: str | None = None, reason: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self._reason = reason

    @property
    def reason(self) -> str:
        """For whoever runs the service: one word, and finer than the code where that says too little."""
        return self._reason or self.code or self.type


class InvalidRequest(MedASRError):
    """``status`` and ``code`` where a route answers otherwise than its class."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_value"

    def __init__(
        self, message: str, *, param: str | None = None, status: int | None = None, code: str | None = None
    ) -> None:
        super().__init__(message, param=param)
        self.status = status or self.status
        self.code = code or self.code


class InvalidAudio(InvalidRequest):
    code = "invalid_audio"

    def __init__(self, message: str, *, param: str | None = "file", reason: str | None = None) -> None:
        super().__init__(message, param=param)
        self._reason = reason


class EmptyAudio(InvalidAudio):
    code = "empty_audio"


class TruncatedAudio(InvalidAudio):
    code = "truncated_audio"


class AudioTooLong(InvalidAudio):
    status = 413
    code = "audio_too_long"


class UnsupportedAudio(InvalidAudio):
    status = 415
    code = "unsupported_format"


class UploadStalled(InvalidRequest):
    status = 408
    code = "upload_stalled"


class UploadTooLarge(InvalidRequest):
    status = 413
    code = "upload_too_large"


class ModelNotFound(InvalidRequest):
    status = 404
    code = "model_not_found"


class JobNotFound(InvalidRequest):
    status = 404
    code = "job_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such job.")


class UrlRefused(InvalidRequest):
    code = "url_not_allowed"


class Unauthorized(InvalidRequest):
    status = 401
    code = "invalid_api_key"


class Forbidden(InvalidRequest):
    status = 403
    code = "forbidden"


class ClientDisconnected(MedASRError):
    status = 499

    def __init__(self) -> None:
        super().__init__("The client hung up.", reason="client_disconnected")


class Busy(MedASRError):
    status = 429
    type = "rate_limit_error"
    code = "busy"
    retry_after_s = 1


class RateLimited(MedASRError):
    """``retry_after_s``: until the window of the limit ends."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NotReady(MedASRError):
    status = 503
    type = "service_unavailable"
    code = "not_ready"
    retry_after_s = 2


class NoRoom(NotReady):
    code = "no_room"
    retry_after_s = 30  # the uploads under way end before

    def __init__(self) -> None:
        super().__init__("The service has no room left for an upload of this size. Try again later.")


class AuditUnavailable(NotReady):
    code = "audit_unavailable"
    retry_after_s = 30  # somebody has to make room, or to mount something

    def __init__(self) -> None:
        super().__init__("The service cannot write its audit, and does no work without. Try again later.")


class Draining(NotReady):
    code = "draining"

    def __init__(self) -> None:
        super().__init__("The service is being stopped and takes no new work. Try again.")


class TimedOut(MedASRError):
    status = 504
    code = "timeout"


class ModelUnavailable(MedASRError):
    code = "model_unavailable"


class UsageError(MedASRError):
    """Only of the command line."""
