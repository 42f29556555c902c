"""The voices as a table: what each is, where it comes from, how much of the training it speaks.

Every engine is a function `speak(texts, rng) -> list[Speech | None]`; a text is a list of what is
said for each word. espeak-ng, flite and festival also tell when each word starts.
"""

# ruff: noqa: SIM905 - lists of words read best as sentences

import ctypes
import io
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

SAMPLE_RATE = 16_000
Waveform = npt.NDArray[np.float32]
Said = list[str]


@dataclass(frozen=True)
class Speech:
    """One spoken text: mono samples at 16 kHz and, where known, the seconds each word starts."""

    waveform: Waveform
    voice: str
    starts_s: list[float] | None = None


Speak = Callable[[list[Said], Random], list[Speech | None]]


@dataclass(frozen=True)
class Voice:
    """One row of the table; `share` is its part of the training audio."""

    name: str
    package: str
    licence: str
    share: float
    speak: Speak


class _EspeakId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _EspeakEvent(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EspeakId),
    ]


class _Espeak:
    """The espeak-ng library: text in, samples and word events out."""

    SYNCHRONOUS, RATE, PITCH, CHARACTERS, UTF8, LIST_END, WORD = 2, 1, 3, 1, 1, 0, 1

    def __init__(self) -> None:
        self.library = ctypes.CDLL("libespeak-ng.so.1")
        self.rate_hz: int = self.library.espeak_Initialize(self.SYNCHRONOUS, 0, None, 0)
        self.blocks: list[npt.NDArray[np.int16]] = []
        self.words: list[tuple[int, int]] = []
        kind = ctypes.CFUNCTYPE(
            ctypes.c_int,
            ctypes.POINTER(ctypes.c_short),
            ctypes.c_int,
            ctypes.POINTER(_EspeakEvent),
        )
        self.callback = kind(self._receive)  # kept alive: the library holds a pointer to it
        self.library.espeak_SetSynthCallback(self.callback)

    def _receive(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            self.blocks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        position = 0
        while events[position].type != self.LIST_END:
            if events[position].type == self.WORD:
                self.words.append((events[position].text_position, events[position].sample))
            position += 1
        return 0

    def say(self, text: str, voice: str, rate: int, pitch: int) -> npt.NDArray[np.int16]:
        """Samples at `rate_hz`; `words` then holds (character, sample) of each word."""
        self.blocks, self.words = [], []
        if self.library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise OSError(f"espeak-ng has no voice {voice}")
        self.library.espeak_SetParameter(self.RATE, rate, 0)
        self.library.espeak_SetParameter(self.PITCH, pitch, 0)
        data = text.encode()
        self.library.espeak_Synth(data, len(data) + 1, 0, self.CHARACTERS, 0, self.UTF8, None, None)
        self.library.espeak_Synchronize()
        return np.concatenate(self.blocks)


@cache
def _espeak() -> _Espeak:
    return _Espeak()


def espeak(texts: list[Said], rng: Random, *, accents: list[str], variants: list[str]) -> list[Speech | None]:
    """espeak-ng through its library, a random accent, variant, speed and pitch for each text."""
    engine = _espeak()
    speeches: list[Speech | None] = []
    for said in texts:
        voice = rng.choice(accents) + rng.choice(variants)
        text = " ".join(said)
        samples = engine.say(text, voice, rng.randint(125, 190), rng.randint(35, 65))
        waveform = _to_16k(samples, engine.rate_hz)
        known: list[tuple[int, float]] = [(0, 0.0)]
        for at, sample in engine.words:  # a stray event now and then points back into the text
            if at - 1 > known[-1][0]:
                known.append((at - 1, sample / engine.rate_hz))
        known.append((len(text), len(waveform) / SAMPLE_RATE))
        characters, seconds = zip(*known, strict=True)
        offsets = np.cumsum([0] + [len(words) + 1 for words in said[:-1]])
        starts = np.interp(offsets, characters, seconds)
        speeches.append(Speech(waveform, voice, [round(float(start), 3) for start in starts]))
    return speeches


class _FliteVoice(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("features", ctypes.c_void_p)]


class _FliteWave(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_char_p),
        ("sample_rate", ctypes.c_int),
        ("sample_count", ctypes.c_int),
        ("channel_count", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    ]


@cache
def _flite() -> ctypes.CDLL:
    """The flite library with the types of the functions used here."""
    library = ctypes.CDLL("libflite.so.1", mode=ctypes.RTLD_GLOBAL)
    for name in ("flite_cmulex", "flite_usenglish"):
        ctypes.CDLL(f"lib{name}.so.1", mode=ctypes.RTLD_GLOBAL)
    pointer, text, real = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_float
    for name, result, arguments in (
        ("flite_synth_text", pointer, [text, pointer]),
        ("utt_wave", ctypes.POINTER(_FliteWave), [pointer]),
        ("utt_relation", pointer, [pointer, text]),
        ("relation_head", pointer, [pointer]),
        ("item_next", pointer, [pointer]),
        ("ffeature_float", real, [pointer, text]),
        ("feat_set_float", None, [pointer, text, real]),
        ("delete_utterance", None, [pointer]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    library.flite_init()
    return library


@cache
def _flite_voice(name: str) -> Any:
    _flite()
    library = ctypes.CDLL(f"libflite_cmu_us_{name}.so.1", mode=ctypes.RTLD_GLOBAL)
    register = getattr(library, f"register_cmu_us_{name}")
    register.restype, register.argtypes = ctypes.POINTER(_FliteVoice), [ctypes.c_char_p]
    return register(None)


def flite(texts: list[Said], rng: Random, *, name: str) -> list[Speech | None]:
    """flite through its library, a random speed and pitch for each text."""
    library, voice = _flite(), _flite_voice(name)
    first_segment = b"R:Token.daughter1.R:SylStructure.daughter1.daughter1.R:Segment.p.end"
    speeches: list[Speech | None] = []
    for said in texts:
        features = voice.contents.features
        library.feat_set_float(features, b"duration_stretch", rng.uniform(0.85, 1.2))
        library.feat_set_float(features, b"f0_shift", rng.uniform(0.88, 1.15))
        utterance = library.flite_synth_text(" ".join(said).encode(), voice)
        wave = library.utt_wave(utterance).contents
        samples = np.ctypeslib.as_array(wave.samples, (wave.sample_count,)).copy()
        waveform = _to_16k(samples, wave.sample_rate)
        starts: list[float] = []
        token = library.relation_head(library.utt_relation(utterance, b"Token"))
        while token:
            starts.append(round(library.ffeature_float(token, first_segment), 3))
            token = library.item_next(token)
        library.delete_utterance(utterance)
        speeches.append(Speech(waveform, name, _word_starts(said, starts)))
    return speeches


@cache
def _pico(language: str) -> Any:
    import ttspico  # type: ignore[import-not-found,import-untyped,unused-ignore]

    return ttspico.TtsEngine(language)


def pico(texts: list[Said], rng: Random, *, language: str) -> list[Speech | None]:
    """SVOX Pico, a random speed and pitch for each text."""
    engine = _pico(language)
    speeches: list[Speech | None] = []
    for said in texts:
        engine.rate, engine.pitch = rng.randint(85, 120), rng.randint(75, 120)
        data = engine.speak(" ".join(said))
        if data[:4] == b"RIFF":
            samples, rate_hz = soundfile.read(io.BytesIO(data), dtype="int16")
        else:
            samples, rate_hz = np.frombuffer(data, dtype=np.int16), SAMPLE_RATE
        speeches.append(Speech(_to_16k(samples, rate_hz), f"pico {language}"))
    return speeches


def festival(texts: list[Said], rng: Random, *, name: str) -> list[Speech | None]:
    """festival, one process for all the texts; one random speed for each call."""
    with tempfile.TemporaryDirectory() as folder:
        lines = [
            f"(voice_{name})",
            f"(Parameter.set 'Duration_Stretch {rng.uniform(0.85, 1.2):.2f})",
        ]
        first = "daughter1.R:SylStructure.daughter1.daughter1.R:Segment.segment_start"
        for index, said in enumerate(texts):
            lines += [
                f'(set! utt (Utterance Text "{" ".join(said)}"))',
                "(utt.synth utt)",
                f'(utt.save.wave utt "{folder}/{index}.wav" \'riff)',
                f"(print (cons {index} (mapcar (lambda (token) (item.feat token '{first}))"
                " (utt.relation.items utt 'Token))))",
            ]
        script = Path(folder, "script.scm")
        script.write_text("\n".join(lines), encoding="utf-8")
        command = ["festival", "-b", str(script)]
        printed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        starts = {
            int(index): [float(start) for start in rest if start != "0"]  # "0": not a token
            for index, *rest in (line.strip("() \n").split() for line in printed.splitlines())
        }
        speeches: list[Speech | None] = []
        for index, said in enumerate(texts):
            path = Path(folder, f"{index}.wav")
            if not path.exists():
                speeches.append(None)
                continue
            samples, rate_hz = soundfile.read(path, dtype="int16")
            times = _word_starts(said, starts.get(index, []))
            speeches.append(Speech(_to_16k(samples, rate_hz), name, times))
        return speeches


def _word_starts(said: Said, token_starts_s: list[float]) -> list[float] | None:
    """The start of each word from the starts of its spoken tokens; None if they do not match."""
    firsts = np.cumsum([0] + [len(words.split()) for words in said])
    if len(token_starts_s) != firsts[-1]:
        return None
    return [token_starts_s[first] for first in firsts[:-1]]


def _to_16k(samples: npt.NDArray[np.int16], rate_hz: int) -> Waveform:
    waveform: Waveform = samples.astype(np.float32) / np.float32(32768)
    if rate_hz == SAMPLE_RATE:
        return waveform
    resampled: Waveform = soxr.resample(waveform, rate_hz, SAMPLE_RATE)
    return resampled


_ACCENTS = ["en-us"] * 5 + ["gmw/en"] * 2 + ["en-gb-scotland", "en-gb-x-rp"]
_VARIANTS = (
    "|+f1|+f2|+f3|+f4|+m1|+m2|+m3|+m4|+m6|+m7|+steph|+linda|+paul|+Michael|+Annie|+Andy|+belinda"
    "|+adam|+david|+rob|+shelby|+anika|+klatt2|+klatt4"
).split("|")

ESPEAK_LICENCE = "GPL-3.0-or-later (the program; its output is not covered)"
FLITE_LICENCE = "BSD-style (Carnegie Mellon University)"
FESTIVAL_LICENCE = "BSD-style (University of Edinburgh, Carnegie Mellon University)"

VOICES = [
    Voice(
        "espeak-ng",
        "espeak-ng (Debian)",
        ESPEAK_LICENCE,
        0.32,
        partial(espeak, accents=_ACCENTS, variants=_VARIANTS),
    ),
    Voice("flite slt", "flite (Debian)", FLITE_LICENCE, 0.12, partial(flite, name="slt")),
    Voice("flite rms", "flite (Debian)", FLITE_LICENCE, 0.12, partial(flite, name="rms")),
    Voice("flite awb", "flite (Debian)", FLITE_LICENCE, 0.09, partial(flite, name="awb")),
    Voice("pico en-US", "ttspico (PyPI)", "Apache-2.0", 0.10, partial(pico, language="en-US")),
    Voice("pico en-GB", "ttspico (PyPI)", "Apache-2.0", 0.09, partial(pico, language="en-GB")),
    Voice(
        "festival ked",
        "festvox-kdlpc16k (Debian)",
        FESTIVAL_LICENCE,
        0.11,
        partial(festival, name="ked_diphone"),
    ),
    Voice(
        "festival slt-hts",
        "festvox-us-slt-hts (Debian)",
        FESTIVAL_LICENCE,
        0.05,
        partial(festival, name="cmu_us_slt_arctic_hts"),
    ),
]

# Accents and variants that only the last stage hears, beside the table's: see wide.py.
_MORE_ACCENTS = ["en-us", "gmw/en", "en-us-nyc", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029", "en-gb-x-rp"]
_MORE_VARIANTS = (
    "+Alex|+Alicia|+Andrea|+antonio|+aunty|+benjamin|+boris|+caleb|+Denis|+Diogo|+ed|+edward|+edward2|+Gene|+Gene2"
    "|+gustave|+announcer|+Henrique|+Hugo|+iven|+iven2|+iven3|+iven4|+Jacky|+john|+kaukovalta|+Lee|+marcelo|+Marco"
    "|+Mario|+max|+michel|+miguel|+pablo|+pedro|+quincy|+robert|+sandro|+steph2|+steph3|+travis|+victor|+zac|+klatt"
    "|+klatt3|+klatt5|+klatt6|+norbert|+grandma|+grandpa|+fast|+croak"
).split("|")
MORE_VOICES = [
    Voice(
        "espeak-ng, more variants",
        "espeak-ng (Debian)",
        ESPEAK_LICENCE,
        0.25,
        partial(espeak, accents=_MORE_ACCENTS, variants=_MORE_VARIANTS),
    )
]
WIDE_VOICES = [*VOICES, *MORE_VOICES]

# Voices that no training audio is made with.
UNSEEN_VARIANT = Voice(
    "espeak-ng, unseen variants",
    "espeak-ng (Debian)",
    ESPEAK_LICENCE,
    0.0,
    partial(espeak, accents=["en-us", "gmw/en"], variants=["+f5", "+m5", "+m8"]),
)
UNSEEN_ENGINE = Voice("flite kal16", "flite (Debian)", FLITE_LICENCE, 0.0, partial(flite, name="kal16"))


def present(voices: list[Voice]) -> tuple[list[Voice], list[Voice]]:
    """The voices that speak here, and those whose package is missing."""
    found: list[Voice] = []
    missing: list[Voice] = []
    for voice in voices:
        try:
            spoken = voice.speak([["chest"]], Random(0))[0]
        except (ImportError, OSError):
            spoken = None
        (missing if spoken is None else found).append(voice)
    return found, missing
