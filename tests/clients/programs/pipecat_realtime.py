"""pipecat: OpenAIRealtimeSTTService in a pipeline that hears the end of speech itself, its default."""

import asyncio
import sys

import soundfile
from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InputAudioRawFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.stt import OpenAIRealtimeSTTService


class Heard(FrameProcessor):
    """Prints the first transcript, and says that it came."""

    def __init__(self) -> None:
        super().__init__()
        self.came = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TranscriptionFrame):
            print(frame.text, end="", flush=True)
            self.came.set()
        await self.push_frame(frame, direction)


async def main(base_url: str, file: str) -> None:
    samples, rate = soundfile.read(file, dtype="int16")
    url = base_url.replace("http", "ws", 1) + "/realtime"
    service, heard = OpenAIRealtimeSTTService(api_key="none", base_url=url), Heard()
    task = PipelineTask(Pipeline([service, heard]), params=PipelineParams(audio_in_sample_rate=rate))

    async def speak() -> None:
        while not service._session_ready:
            await asyncio.sleep(0.05)
        await task.queue_frame(VADUserStartedSpeakingFrame())
        for at in range(0, len(samples), rate // 25):
            await task.queue_frame(InputAudioRawFrame(samples[at : at + rate // 25].tobytes(), rate, 1))
        await task.queue_frame(VADUserStoppedSpeakingFrame())
        await heard.came.wait()
        await task.queue_frame(EndFrame())

    await asyncio.gather(PipelineRunner(handle_sigint=False).run(task), speak())


asyncio.run(main(*sys.argv[1:]))
