// The camera of this browser: frames at equal steps of time, sent to the server as they are.
import {json, post} from "./api.js";

const FPS = 12, SIDE = 320;
let running = null;

export async function start({opened, came, failed}) {
  await end();
  const stream = await navigator.mediaDevices.getUserMedia({video: {width: {ideal: SIDE}, height: {ideal: 240}, frameRate: {ideal: 30}}, audio: false});
  const video = Object.assign(document.createElement("video"), {srcObject: stream, muted: true, playsInline: true});
  await video.play();
  const scale = Math.min(SIDE / Math.max(video.videoWidth, video.videoHeight), 1);
  const width = Math.round(video.videoWidth * scale), height = Math.round(video.videoHeight * scale);
  const source = await post("/api/cameras", {height, width, fps: FPS});
  const own = running = {stream, id: source.id, timer: 0, stopped: false};
  const pen = Object.assign(document.createElement("canvas"), {width, height}).getContext("2d", {willReadFrequently: true});
  const began = performance.now();
  let sent = 0, first = true;
  const tick = async () => {
    if (own.stopped) return;
    // a late frame stands for all the steps since the one before, so that the clock stays true
    const due = Math.floor((performance.now() - began) / 1000 * FPS) + 1, repeats = Math.min(due - sent, 600);
    if (repeats > 0) {
      sent = due;
      pen.drawImage(video, 0, 0, width, height);
      try {
        const {frames} = await give(source.id, pen.getImageData(0, 0, width, height).data, repeats);
        if (first) { first = false; await opened({...source, frames}); } else came(frames);
      } catch (error) { if (!own.stopped) { failed(error); await end(); } return; }
    }
    own.timer = setTimeout(tick, 1000 / FPS / 2);
  };
  await tick();
}

async function give(id, pixels, repeats) {
  const bytes = new Uint8Array(pixels.length / 4 * 3);
  for (let i = 0, j = 0; i < pixels.length; i += 4, j += 3) { bytes[j] = pixels[i]; bytes[j + 1] = pixels[i + 1]; bytes[j + 2] = pixels[i + 2]; }
  const answer = await fetch(`/api/cameras/${id}/frames?repeats=${repeats}`, {method: "POST", body: bytes, headers: {"X-Spikereel": "1"}});
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.error);
  return said;
}

export const on = () => running !== null;

export async function end() {
  const own = running;
  running = null;
  if (!own) return;
  own.stopped = true;
  clearTimeout(own.timer);
  for (const track of own.stream.getTracks()) track.stop();
  await json(`/api/cameras/${own.id}`, {method: "DELETE"}).catch(() => {});
}
