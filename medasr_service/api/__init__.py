"""The HTTP interface: OpenAI's audio transcription API over a Transcriber."""
