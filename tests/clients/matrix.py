"""Clients that people really use, unmodified: what to install for each, how it is run, what it must write.

A client runs in an environment of its own, build/clients/ENVIRONMENT, or in this one where it is there.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

ENVIRONMENTS = ROOT / "build" / "clients"
PROGRAMS = Path(__file__).parent / "programs"
ALIASES = "whisper-1,gpt-transcribe,gpt-4o-transcribe,gpt-4o-mini-transcribe,gpt-realtime-whisper"
TEXT = (
    "IMPRESSION\nNo acute cardiopulmonary process. Benign findings. Findings suspicious for malignancy, "
    "biopsy is recommended."
)  # of the clip that every client sends


@dataclass(frozen=True)
class Client:
    """``environment``: the folder of its packages; ``module``: what is imported where it is installed here;
    ``tls``: it speaks to https:// and wss:// only; ``one_line``: it folds white space.
    """

    name: str
    packages: tuple[str, ...]
    program: str
    arguments: tuple[str, ...] = ()
    environment: str = ""
    module: str = ""
    no_dependencies: tuple[str, ...] = ()  # packages without what they need
    tls: bool = False
    one_line: bool = False

    @property
    def folder(self) -> Path:
        return ENVIRONMENTS / self.environment

    @property
    def is_node(self) -> bool:
        return self.program.endswith(".mjs")

    @property
    def interpreter(self) -> Path | None:
        """What runs it; None where it is not installed."""
        if self.is_node:
            found = self.folder / "node_modules" / ".bin" / "node"
        elif self.module and importlib.util.find_spec(self.module):
            return Path(sys.executable)
        else:
            found = self.folder / "bin" / "python"
        return found if (self.folder / "installed").exists() else None

    def install(self) -> None:
        """Raises CalledProcessError; an interpreter that is too old is pip's to say."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.is_node:
            npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(self.folder)]
            subprocess.run([*npm, *self.packages], check=True)
        else:
            newest = next(filter(None, map(shutil.which, ("python3.13", "python3.12"))), sys.executable)
            subprocess.run([newest, "-m", "venv", self.folder], check=True)
            pip = [str(self.folder / "bin" / "pip"), "install", "--quiet"]
            subprocess.run([*pip, *self.packages], check=True)
            if self.no_dependencies:
                subprocess.run([*pip, "--no-deps", *self.no_dependencies], check=True)
        (self.folder / "installed").touch()

    def run(self, url: str, recording: Path, certificate: Path) -> str:
        """What the client writes. Raises CalledProcessError, with what it says of it."""
        assert self.interpreter
        program = PROGRAMS / self.program
        if self.is_node:  # a module is looked for from where the program lies
            program = Path(shutil.copy(program, self.folder))
        trusted = {"SSL_CERT_FILE": str(certificate), "NODE_EXTRA_CA_CERTS": str(certificate)}
        done = subprocess.run(
            [self.interpreter, program, f"{url}/v1", recording, *self.arguments],
            env={**os.environ, **(trusted if self.tls else {}), "QT_QPA_PLATFORM": "offscreen"},
            capture_output=True,
            check=True,
            text=True,
            timeout=120,
        )
        return done.stdout

    @property
    def text(self) -> str:
        return " ".join(TEXT.split()) if self.one_line else TEXT


NODE = ("node@22", "openai", "ws", "ai@7", "@ai-sdk/openai@4")
LIVEKIT = ("livekit-agents", "livekit-plugins-openai", "soundfile")
CLIENTS = (
    Client(
        "openai-agents, streamed",
        ("openai-agents[voice]", "soundfile"),
        "openai_agents_streamed.py",
        environment="openai-agents",
        module="agents",
    ),
    Client("LiveKit", LIVEKIT, "livekit_realtime.py", environment="livekit"),
    Client(
        "LiveKit, gpt-realtime-whisper",
        LIVEKIT,
        "livekit_realtime.py",
        ("gpt-realtime-whisper",),
        environment="livekit",
    ),
    Client("pipecat", ("pipecat-ai[openai]", "soundfile"), "pipecat_realtime.py", environment="pipecat"),
    Client(
        "wyoming-openai, realtime",
        ("wyoming-openai", "soundfile"),
        "wyoming_openai.py",
        ("realtime",),
        environment="wyoming-openai",
    ),
    Client(
        "wyoming-openai, streaming",
        ("wyoming-openai", "soundfile"),
        "wyoming_openai.py",
        ("streaming",),
        environment="wyoming-openai",
    ),
    Client("voice-mode", ("voice-mode",), "voice_mode_stt.py", environment="voice-mode"),
    Client("openai-node, realtime", NODE, "openai_node_realtime.mjs", environment="node", tls=True),
    Client("AI SDK, words", NODE, "ai_sdk_words.mjs", environment="node"),
    Client("AI SDK, streaming", NODE, "ai_sdk_stream.mjs", environment="node"),
    Client(
        "LangChain",
        ("langchain-community", "langchain-openai", "pydub"),
        "langchain_parser.py",
        environment="langchain",
    ),
    Client(
        "Buzz, word timings",
        ("PyQt6", "yt-dlp", "dataclasses-json", "openai", "platformdirs", "numpy", "huggingface_hub", "tqdm"),
        "buzz_words.py",
        environment="buzz",
        no_dependencies=("buzz-captions",),
        one_line=True,
    ),
)
