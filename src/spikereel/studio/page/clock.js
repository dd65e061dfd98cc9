// The one clock: a frame number of the open source. Times are those of the file, never number / mean rate.
import {query, json, ask} from "./api.js";
import {set, state} from "./state.js";

export const clock = {source: null, times: null, playing: false, speed: 1};

export async function attach(source) {
  clock.source = source;
  clock.times = source.varies
    ? new Float64Array(await (await ask(`/api/sources/${source.id}/times`)).arrayBuffer()) : null;
}

export const last = () => Math.max((clock.source?.frames ?? 1) - 1, 0);
export const clamp = number => Math.min(Math.max(Math.round(number) || 0, 0), last());

// Seconds at which a frame begins, null where the source does not say.
export function seconds(number) {
  if (clock.times) return clock.times[clamp(number)];
  return clock.source?.fps ? number / clock.source.fps : null;
}

// The frame that is shown at an instant.
export function frameAt(instant) {
  if (!clock.times) return clamp(Math.floor(instant * (clock.source?.fps || 25) + 1e-6));
  let low = 0, high = clock.times.length;
  while (low < high) { const middle = (low + high) >> 1; clock.times[middle] <= instant + 1e-9 ? low = middle + 1 : high = middle; }
  return clamp(low - 1);
}

export function stamp(number) {
  const value = seconds(number);
  if (value === null) return "";
  const minutes = Math.floor(value / 60);
  return (minutes ? `${minutes}:` : "") + (value - 60 * minutes).toFixed(3).padStart(minutes ? 6 : 5, "0") + " s";
}

export function seek(number) { set({frame: clamp(number)}); }
export function step(by) { stop(); seek(state.frame + by); }

let began = 0, from = 0;
export function play(ready) {
  if (!clock.source) return;
  if (state.frame >= last()) seek(0);
  clock.playing = true;
  began = performance.now();
  from = seconds(state.frame) ?? state.frame / 25;
  const turn = now => {
    if (!clock.playing) return;
    const instant = from + (now - began) / 1000 * clock.speed;
    // the next frame is asked for when the one before is there: slow pictures leave frames out, and the clock is true
    if (ready()) seek(frameAt(instant));
    if (state.frame >= last() && !clock.source.live) { stop(); return; }
    requestAnimationFrame(turn);
  };
  requestAnimationFrame(turn);
}
export function stop() { if (clock.playing) { clock.playing = false; set({frame: clamp(state.frame)}); } document.dispatchEvent(new Event("clock")); }
export const toggle = ready => { clock.playing ? stop() : play(ready); document.dispatchEvent(new Event("clock")); };

// Whether a key was for the clock.
export function key(event, ready) {
  const into = event.target.closest?.("input:not([type=range]), select, textarea, dialog");
  if (into || event.ctrlKey || event.metaKey || event.altKey || !clock.source) return false;
  const by = event.shiftKey ? 10 : 1;
  const found = {
    ArrowLeft: () => step(-by), ArrowRight: () => step(by), Home: () => { stop(); seek(0); },
    End: () => { stop(); seek(last()); },
    " ": event.target.closest?.("button, summary, a") ? null : () => toggle(ready),
  }[event.key];
  if (!found) return false;
  event.preventDefault();
  found();
  return true;
}
