// openai-node: OpenAIRealtimeWS, which speaks wss:// only.
import { readFileSync } from "node:fs";
import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";

const [baseURL, file] = process.argv.slice(2);
const audio = readFileSync(file).subarray(44);
const client = new OpenAI({ baseURL, apiKey: "none" });
const realtime = new OpenAIRealtimeWS({ model: "gpt-4o-transcribe" }, client);
realtime.socket.on("open", () => {
  realtime.send({
    type: "session.update",
    session: {
      type: "transcription",
      audio: {
        input: {
          format: { type: "audio/pcm", rate: 24000 },
          transcription: { model: "gpt-4o-transcribe" },
          turn_detection: null,
        },
      },
    },
  });
  for (let at = 0; at < audio.length; at += 4801) {
    const piece = audio.subarray(at, at + 4801); // of odd length
    realtime.send({ type: "input_audio_buffer.append", audio: piece.toString("base64") });
  }
  realtime.send({ type: "input_audio_buffer.commit" });
});
realtime.on("error", (error) => {
  console.error(error);
  process.exit(1);
});
realtime.on("conversation.item.input_audio_transcription.completed", (event) => {
  process.stdout.write(event.transcript);
  realtime.close();
});
