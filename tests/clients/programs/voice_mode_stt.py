"""voice-mode: the transcription of its ``converse`` tool, with its defaults but for the address."""

import asyncio
import os
import sys

base_url, file = sys.argv[1:]
os.environ.update(VOICEMODE_STT_BASE_URLS=base_url, VOICEMODE_TELEMETRY="false")

from voice_mode.simple_failover import simple_stt_failover  # noqa: E402

with open(file, "rb") as audio:  # noqa: PTH123
    answer = asyncio.run(simple_stt_failover(audio))
print(answer["text"], end="")
