"""Sound that the page hears in place of its microphone, known to the sample.

The browser hands a microphone's sound to the page by the clock: on a busy machine it drops some, or plays
silence, before the page's own code sees any. So where a test compares what was heard with what was said, this
sound takes the microphone's place in the graph, and all code behind it is the page's. A busy machine makes it
late, never different.
"""

import base64
import json
import math
from dataclasses import dataclass

import numpy as np
import soxr
from playwright.sync_api import Page

from medasr_service.model.geometry import Waveform
from tests.conftest import CLIPS

SPOKEN = CLIPS[4]  # 9 s, with a heading and three sentences
SPOKEN_S = math.ceil(len(SPOKEN.waveform) / 16_000)  # until all of it is heard
SAID = np.pad(SPOKEN.waveform, (0, 60 * 16_000))  # and then nothing, for as long as a test may last
CONTEXT = """
([pcm, rate, paced, loop]) => {
    const bytes = Uint8Array.from(atob(pcm), (c) => c.charCodeAt(0));
    const wave = Float32Array.from(new Int16Array(bytes.buffer), (sample) => sample / 32768);
    class Paced extends AudioContext {
        constructor() { super({ sampleRate: rate, sinkId: { type: "none" } }); }
        begin() {}
    }
    class AtOnce extends OfflineAudioContext {
        constructor() { super(1, wave.length, rate); }
        async resume() {}
        async close() {}
        begin() { setTimeout(() => this.startRendering()); }  // when the graph is connected
    }
    window.AudioContext = class extends (paced ? Paced : AtOnce) {
        createMediaStreamSource() {
            const buffer = new AudioBuffer({ length: wave.length, sampleRate: rate });
            buffer.copyToChannel(wave, 0);
            const source = new AudioBufferSourceNode(this, { buffer, loop });
            source.start();
            this.begin();
            return source;
        }
    };
}"""


@dataclass(frozen=True)
class Voice:
    """``said``, at 16 kHz, in a page whose audio runs at ``rate``: at the pace of speech, or all at once;
    ``loop``: again and again."""

    said: Waveform
    rate: int = 48_000
    paced: bool = True
    loop: bool = False

    def install(self, page: Page) -> None:
        wave = soxr.resample(self.said, 16_000, self.rate, quality="VHQ")
        pcm = base64.b64encode((np.clip(wave, -1, 1) * 32_767).round().astype("<i2").tobytes()).decode()
        page.add_init_script(f"({CONTEXT})({json.dumps([pcm, self.rate, self.paced, self.loop])})")
