"""What the service is measured against: the plan's first sketch, FastAPI around the transformers pipeline.

python -m benchmarks.prototype_server build/random-checkpoint 8500
"""

import contextlib
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, File, Form, UploadFile
from transformers import pipeline

model: dict[str, Any] = {}


@contextlib.asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    model["pipe"] = pipeline("automatic-speech-recognition", model=sys.argv[1])
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/readyz")
async def ready() -> dict[str, str]:
    return {"status": "healthy"}


@app.post("/v1/audio/transcriptions")
async def transcribe(
    file: Annotated[UploadFile, File()],
    chunk_length_s: Annotated[int, Form()] = 20,
    stride_length_s: Annotated[int, Form()] = 2,
) -> dict[str, str]:
    with tempfile.NamedTemporaryFile(suffix=".wav") as named:
        Path(named.name).write_bytes(await file.read())
        result = model["pipe"](named.name, chunk_length_s=chunk_length_s, stride_length_s=stride_length_s)
    return {"text": result["text"]}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
