"""wyoming-openai between Home Assistant and the service: over the Realtime API, or by stream=true."""

import asyncio
import socket
import sys

import soundfile
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


async def main(base_url: str, file: str, kind: str) -> None:
    samples, rate = soundfile.read(file, dtype="int16")
    port = free_port()
    model = "medasr-demo"
    proxy = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "wyoming_openai",
        "--uri", f"tcp://127.0.0.1:{port}", "--languages", "en",
        "--stt-openai-url", base_url, "--stt-openai-key", "none",
        *(("--stt-realtime-models", model) if kind == "realtime" else ("--stt-streaming-models", model)),
        stdout=sys.stderr,
    )  # fmt: skip
    try:
        async with asyncio.timeout(60):
            while True:
                client = AsyncTcpClient("127.0.0.1", port)
                try:
                    await client.connect()
                    break
                except OSError:
                    await asyncio.sleep(0.1)
            await client.write_event(Transcribe(name=model, language="en").event())
            await client.write_event(AudioStart(rate=rate, width=2, channels=1).event())
            for at in range(0, len(samples), 2400):
                chunk = AudioChunk(rate=rate, width=2, channels=1, audio=samples[at : at + 2400].tobytes())
                await client.write_event(chunk.event())
            await client.write_event(AudioStop().event())
            while event := await client.read_event():
                if Transcript.is_type(event.type):
                    print(Transcript.from_event(event).text, end="")
                    break
            await client.disconnect()
    finally:
        proxy.terminate()
        await proxy.wait()


asyncio.run(main(*sys.argv[1:]))
