"""LiveKit Agents: its OpenAI plugin, over the Realtime API; the model may be given."""

import asyncio
import sys

import aiohttp
import soundfile
from livekit import rtc
from livekit.agents import stt
from livekit.plugins import openai


async def main(base_url: str, file: str, model: str = "gpt-4o-mini-transcribe") -> None:
    samples, rate = soundfile.read(file, dtype="int16")
    async with aiohttp.ClientSession() as session:
        realtime_only = {"vad": None} if "live" in model or "realtime" in model else {}
        speech = openai.STT(
            base_url=base_url, api_key="none", model=model, use_realtime=True, **realtime_only
        )
        speech._session = session  # where LiveKit's worker has one of its own
        stream = speech.stream()
        for at in range(0, len(samples), rate // 20):
            piece = samples[at : at + rate // 20].tobytes()
            stream.push_frame(rtc.AudioFrame(piece, rate, 1, len(piece) // 2))
            await asyncio.sleep(0.01)
        stream.flush()
        if realtime_only:
            await asyncio.sleep(0.5)
            await stream._ws.send_json({"type": "input_audio_buffer.commit"})
        async for event in stream:
            if event.type is stt.SpeechEventType.FINAL_TRANSCRIPT:
                print(event.alternatives[0].text, end="", flush=True)
            elif event.type is stt.SpeechEventType.RECOGNITION_USAGE:
                break
        await stream.aclose()


asyncio.run(main(*sys.argv[1:]))
