"""Transcribes what is evaluated, or takes what is known from a run before."""

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from medasr_service.errors import MedASRError
from medasr_service.evaluation.results import Result, Results, key
from medasr_service.evaluation.samples import Sample
from medasr_service.model.digests import sha256
from medasr_service.transcriber import Options, Transcriber


@dataclass(frozen=True)
class Setting:
    """One way to transcribe; ``conditions`` are what a text depends on besides the recording."""

    options: Options
    conditions: Mapping[str, object]


def transcripts(
    samples: Iterable[Sample], transcriber: Transcriber, settings: Mapping[str, Setting], results: Results
) -> Iterator[tuple[Sample, dict[str, Result]]]:
    """Each recording with what came out under each setting, by its name.

    What is new goes into ``results``; a recording that cannot be transcribed is a result with an error.
    """
    with asyncio.Runner() as runner:
        for sample in samples:
            outcomes: dict[str, Result] = {}
            try:
                sound = sha256(sample.audio)
            except OSError as error:
                yield (
                    sample,
                    {
                        name: _failed("", sample, each.options.decoding, error)
                        for name, each in settings.items()
                    },
                )
                continue
            for name, setting in settings.items():
                known = key(sound, setting.options.decoding, setting.conditions)
                result = results.get(known)
                if result is None:
                    work = _transcribe(known, sample, transcriber, setting.options)
                    result = runner.run(work)
                    results.add(result)
                outcomes[name] = replace(result, name=sample.name)
            yield sample, outcomes


async def _transcribe(key: str, sample: Sample, transcriber: Transcriber, options: Options) -> Result:
    began = time.perf_counter()
    try:
        with sample.audio.open("rb") as file:
            transcript = await transcriber.transcribe(file, options)
    except (MedASRError, OSError) as error:
        return _failed(key, sample, options.decoding, error)
    return Result(
        key,
        sample.name,
        options.decoding,
        text=transcript.text,
        words=tuple((word.written, round(word.probability, 4)) for word in transcript.words),
        duration_s=round(transcript.duration, 3),
        elapsed_s=round(time.perf_counter() - began, 4),
    )


def _failed(key: str, sample: Sample, decoding: str, error: MedASRError | OSError) -> Result:
    reason = error.message if isinstance(error, MedASRError) else error.strerror or str(error)
    return Result(key, sample.name, decoding, error=reason)
