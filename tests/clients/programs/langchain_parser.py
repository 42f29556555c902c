"""LangChain: OpenAIWhisperParser, as it is: the recording as MP3, the model whisper-1."""

import contextlib
import sys

from langchain_community.document_loaders.parsers.audio import OpenAIWhisperParser
from langchain_core.documents.base import Blob

base_url, file = sys.argv[1:]
with contextlib.redirect_stdout(sys.stderr):  # it says what it does
    documents = OpenAIWhisperParser(api_key="none", base_url=base_url).parse(Blob.from_path(file))
print("".join(document.page_content for document in documents), end="")
