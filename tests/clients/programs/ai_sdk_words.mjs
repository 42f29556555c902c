// AI SDK: transcribe() with the times of words, which it asks whisper-1 for and no other model.
import { readFileSync } from "node:fs";
import { createOpenAI } from "@ai-sdk/openai";
import { transcribe } from "ai";

const [baseURL, file] = process.argv.slice(2);
const openai = createOpenAI({ baseURL, apiKey: "none" });
const { text, words, segments, language, durationInSeconds } = await transcribe({
  model: openai.transcription("whisper-1"),
  audio: readFileSync(file),
  providerOptions: { openai: { timestampGranularities: ["word", "segment"] } },
});
if (!words?.length || !segments.length || language !== "en" || !durationInSeconds) {
  throw new Error(JSON.stringify({ words, segments, language, durationInSeconds }));
}
if (words.some(({ startSecond, endSecond }) => !(startSecond < endSecond))) throw new Error("times");
process.stdout.write(text);
