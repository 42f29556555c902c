"""The routes of the service, as metrics and the log call them."""

from medasr_service.api.keys import METRICS, PAGE, PROBES

AUDIO = frozenset({"/v1/audio/transcriptions", "/v1/audio/translations", "/transcribe"})
API = AUDIO | frozenset({"/v1/realtime", "/v1/models", "/v1/jobs", "/v1/audio/subtitles"})
DOCS = frozenset(
    {"/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json", "/asyncapi.yaml", "/schema.json"}
)
ROUTES = API | DOCS | METRICS | PAGE | PROBES
FOLDERS = ("/v1/models/", "/v1/jobs/", "/panel/", "/static-offline-docs/")
OTHER = "/other"


def label(path: str) -> str:
    """The route of a path, of which there are few."""
    if path in ROUTES:
        return path
    return next((f"{folder}*" for folder in FOLDERS if path.startswith(folder)), OTHER)
