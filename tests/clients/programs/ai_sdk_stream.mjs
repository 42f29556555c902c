// AI SDK: streamed transcription over the Realtime API, under the name of a model that its catalogue streams.
import { readFileSync } from "node:fs";
import { createOpenAI } from "@ai-sdk/openai";
import { experimental_streamTranscribe as streamTranscribe } from "ai";

const [baseURL, file] = process.argv.slice(2);
const audio = readFileSync(file).subarray(44);
const openai = createOpenAI({ baseURL, apiKey: "none" });
const result = streamTranscribe({
  model: openai.transcription("gpt-realtime-whisper"),
  inputAudioFormat: { type: "audio/pcm", rate: 24000 },
  audio: new ReadableStream({
    start(controller) {
      for (let at = 0; at < audio.length; at += 4800) controller.enqueue(audio.subarray(at, at + 4800));
      controller.close();
    },
  }),
});
process.stdout.write(await result.text);
