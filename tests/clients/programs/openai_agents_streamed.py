"""openai-agents: the voice pipeline's streamed transcription, with its defaults (semantic_vad, 24 kHz)."""

import asyncio
import sys

import soundfile
from agents.voice import OpenAIVoiceModelProvider, StreamedAudioInput, STTModelSettings
from openai import AsyncOpenAI


async def main(base_url: str, file: str) -> None:
    samples, rate = soundfile.read(file, dtype="int16")
    assert rate == 24_000
    client = AsyncOpenAI(base_url=base_url, api_key="none")
    model = OpenAIVoiceModelProvider(openai_client=client).get_stt_model(None)
    audio = StreamedAudioInput()
    session = await model.create_session(audio, STTModelSettings(), False, False)
    for at in range(0, len(samples), 2400):
        await audio.add_audio(samples[at : at + 2400])
    await audio.add_audio(None)
    async for turn in session.transcribe_turns():
        print(turn, end="", flush=True)
    await session.close()


asyncio.run(main(*sys.argv[1:]))
