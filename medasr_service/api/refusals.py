"""Errors as a client sees them: OpenAI's shape, on every route and in every middleware."""

from collections.abc import Mapping

from starlette.responses import JSONResponse

from medasr_service.errors import MedASRError

HANG_UP = {"Connection": "close"}  # beside an answer that comes before the body was read


def error_body(error: MedASRError) -> dict[str, dict[str, str | None]]:
    """OpenAI's shape of an error."""
    body = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    return {"error": body}


def error_response(error: MedASRError, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer; it is an ASGI application too."""
    retry = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    return JSONResponse(error_body(error), status_code=error.status, headers={**(headers or {}), **retry})
