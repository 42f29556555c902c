"""Buzz: its transcription by OpenAI's API with the times of words, without its window and its own models."""

import sys
from unittest.mock import MagicMock

for heavy in ("whisper", "faster_whisper", "torch", "stable_whisper"):
    sys.modules[heavy] = MagicMock()

from buzz.settings.settings import Settings  # noqa: E402
from buzz.transcriber.openai_whisper_api_file_transcriber import OpenAIWhisperAPIFileTranscriber  # noqa: E402
from buzz.transcriber.transcriber import (  # noqa: E402
    FileTranscriptionOptions,
    FileTranscriptionTask,
    TranscriptionOptions,
)

base_url, file = sys.argv[1:]
Settings.value = lambda self, key, default_value, *_: (  # what the person wrote into its preferences
    base_url if key is Settings.Key.CUSTOM_OPENAI_BASE_URL else default_value
)
options = TranscriptionOptions(word_level_timings=True, openai_access_token="none", language="en")
task = FileTranscriptionTask(
    transcription_options=options,
    file_transcription_options=FileTranscriptionOptions(file_paths=[file]),
    model_path="",
    file_path=file,
)
words = OpenAIWhisperAPIFileTranscriber(task).transcribe()
if len(words) < 10 or any(not word.start < word.end for word in words):
    raise SystemExit(f"no words: {words}")
print(" ".join(word.text for word in words), end="")
