/**
 * AudioWorklet: the microphone to 16-bit PCM at 16 kHz, in blocks of a tenth of a second.
 * Resampled here and not by the AudioContext: not every browser connects a microphone to a context of another rate.
 */
const RATE = 16_000;
const BLOCK = RATE / 10;
const ZERO_CROSSINGS = 24; // of the filter, on each side
const STEPS = 128; // of the filter's table, between two of them
const PASS = 0.94; // of the band, the rest is for the filter to fall off

/** A windowed sinc (Hann), one side. */
const FILTER = Float32Array.from({ length: ZERO_CROSSINGS * STEPS + 2 }, (_, i) => {
  const x = i / STEPS;
  if (x >= ZERO_CROSSINGS) return 0;
  const sinc = x ? Math.sin(Math.PI * x) / (Math.PI * x) : 1;
  return sinc * (0.5 + 0.5 * Math.cos((Math.PI * x) / ZERO_CROSSINGS));
});

class Resampler {
  /** @param {number} from samples per second */
  constructor(from) {
    this.ratio = from / RATE;
    this.cutoff = PASS * Math.min(1, 1 / this.ratio);
    this.half = Math.ceil(ZERO_CROSSINGS / this.cutoff);
    this.held = new Float32Array(this.half); // silence before the first sample
    this.next = this.half; // where, in `held`, the next output sample lies
  }

  /** @param {Float32Array} input @returns {number[]} */
  push(input) {
    const samples = new Float32Array(this.held.length + input.length);
    samples.set(this.held);
    samples.set(input, this.held.length);
    const output = [];
    for (; this.next + this.half < samples.length; this.next += this.ratio) output.push(this.at(samples, this.next));
    const keep = Math.max(0, Math.min(samples.length, Math.floor(this.next) - this.half));
    this.held = samples.slice(keep);
    this.next -= keep;
    return output;
  }

  /** @param {Float32Array} samples @param {number} time */
  at(samples, time) {
    let sum = 0;
    const first = Math.max(0, Math.ceil(time - this.half));
    for (let i = first; i <= time + this.half && i < samples.length; i++) {
      const x = Math.abs(i - time) * this.cutoff * STEPS;
      const low = Math.floor(x);
      if (low < FILTER.length - 1) sum += samples[i] * (FILTER[low] + (x - low) * (FILTER[low + 1] - FILTER[low]));
    }
    return sum * this.cutoff;
  }

  /** The samples that waited for more. */
  flush() {
    return this.push(new Float32Array(this.half + 1));
  }
}

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate);
    this.block = new Int16Array(BLOCK);
    this.filled = 0;
    this.peak = 0;
    this.stopped = false;
    this.port.onmessage = () => this.stop();
  }

  /** @param {Float32Array[][]} inputs */
  process(inputs) {
    if (this.stopped) return false;
    if (inputs[0][0]) this.take(this.resampler.push(inputs[0][0]));
    return true;
  }

  /** @param {number[]} samples */
  take(samples) {
    for (const sample of samples) {
      this.peak = Math.max(this.peak, Math.abs(sample));
      this.block[this.filled++] = Math.round(Math.max(-1, Math.min(1, sample)) * 32_767);
      if (this.filled === BLOCK) this.send();
    }
  }

  send() {
    const samples = this.block.slice(0, this.filled);
    this.port.postMessage({ samples, peak: this.peak }, [samples.buffer]);
    this.filled = 0;
    this.peak = 0;
  }

  stop() {
    if (this.stopped) return;
    this.take(this.resampler.flush());
    if (this.filled) this.send();
    this.stopped = true;
    this.port.postMessage({ end: true });
  }
}

registerProcessor("capture", Capture);
