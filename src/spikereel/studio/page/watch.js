// The view of one source: opening, running weights, and painting everything at the frame of the clock.
import {json, post} from "./api.js";
import * as camera from "./camera.js";
import {choose} from "./chooser.js";
import {attach, clamp, clock, key, last, seek, stamp, step, stop, toggle} from "./clock.js";
import {colours} from "./draw.js";
import {membranes} from "./membranes.js";
import * as overlay from "./overlay.js";
import {energy, probabilities, raster, rates} from "./panels.js";
import {Picture} from "./picture.js";
import {range} from "./plot.js";
import {answerAt, Results} from "./results.js";
import {buttons, copyLink, pageOf, save, svgOf} from "./share.js";
import {listen, set, state} from "./state.js";

const at = id => document.getElementById(id);
const picture = new Picture(at("picture"));
export const watch = {results: null, panels: [], picture};
let feed = null, asked = "", analysed = "";

export function note(text, failed = false) { at("note").textContent = text; at("note").classList.toggle("failed", failed); }

async function tried(work) { try { return await work(); } catch (error) { note(error.message, true); throw error; } }

async function openCamera() {
  at("chooser").close();
  stop();
  note("Asking for the camera …");
  let follows = true;
  await tried(() => camera.start({
    failed: error => { note(error.message, true); at("camera-stop").hidden = true; },
    opened: async source => {
      set({place: ""});
      await show(source);
      note("The camera is on; its frames stay in memory and go when another camera starts.");
      at("camera-stop").hidden = false;
      if (state.weights) await run();
    },
    came: frames => {
      follows = state.frame >= last() - 1;
      clock.source.frames = frames;
      at("scrub").max = at("number").max = last();
      if (follows && !clock.playing) seek(last());
      for (const panel of watch.panels) panel.dirty = true;
    },
  })).catch(error => { note(`The camera cannot be used: ${error.message}`, true); });
}

async function stopCamera() {
  await camera.end();
  at("camera-stop").hidden = true;
  if (clock.source) clock.source.live = false;
  note("The camera is off; its frames can be looked at.");
  paint(true);
}

export async function open(place) {
  stop();
  asked = place;
  if (camera.on()) await stopCamera();
  note(`Opening ${place.split(/[:/]/).pop()} …`);
  const source = await tried(() => post("/api/sources", {place}));
  await show(source);
  note("");
  if (state.weights || source.trace) await run(); else at("weights").focus();
}

async function show(source) {
  end();
  picture.clear();
  await attach(source);
  asked = source.place;
  at("empty").hidden = true;
  at("stage").hidden = false;
  at("scrub").max = at("number").max = last();
  set({place: source.place, frame: clamp(state.place === source.place ? state.frame : 0),
    ...(state.place === source.place ? {} : {first: undefined, stop: undefined})});
  facts(source);
  paint();
}

function facts(source) {
  const rows = {file: source.name, frames: source.frames, rate: source.varies ? "varies; frames are told by number" : source.fps ? `${Number(source.fps.toFixed(3))} a second` : "not stated",
    size: `${source.width} × ${source.height}`, codec: source.codec, holds: source.holds, ...(source.assumed ?? {})};
  at("facts").replaceChildren(...[...Object.entries(rows), ...source.notes.map(text => ["note", text])].flatMap(([name, value]) => [
    Object.assign(document.createElement("dt"), {textContent: name}),
    Object.assign(document.createElement("dd"), {textContent: value === true ? "yes" : value === false ? "no" : String(value)})]));
}

function end() {
  feed?.close();
  feed = null;
  overlay.end();
  watch.results = null;
  watch.panels = [];
  analysed = "";
  at("panels").replaceChildren();
  at("progress").textContent = at("answer").textContent = "";
}

export async function run() {
  if (!clock.source) { note("Open a source first.", true); return; }
  if (!state.weights && !clock.source.trace) { note("Choose weights first.", true); at("weights").focus(); return; }
  end();
  analysed = state.weights ?? "";
  at("progress").textContent = "Loading weights …";
  const about = await tried(() => post("/api/analyses", {source: clock.source.id, weights: state.weights, every: state.every ?? null, frame: state.frame}))
    .catch(error => { at("progress").textContent = ""; at("panels").replaceChildren(Object.assign(document.createElement("p"), {className: "failed", textContent: error.message})); throw error; });
  note(clock.source.trace ? `${clock.source.notes[0]}; nothing is computed.` : "");
  at("progress").textContent = `0 of ${about.windows} windows`;
  at("panels").replaceChildren(Object.assign(document.createElement("p"), {className: "empty", textContent: "The first window is being computed …"}));
  feed = new EventSource(`/api/analyses/${about.id}/events`);
  feed.addEventListener("about", event => begin(JSON.parse(event.data)));
  feed.addEventListener("window", event => take(JSON.parse(event.data)));
  feed.addEventListener("fault", event => {
    feed.close();
    at("progress").textContent = "";
    at("panels").prepend(Object.assign(document.createElement("p"), {className: "failed", textContent: JSON.parse(event.data)}));
    document.documentElement.dataset.fault = "yes";
  });
}

function begin(about) {
  if (watch.results || about.fault && !about.layers) return;
  watch.results = new Results(about);
  if (!about.layers.some(x => x.name === state.layer)) set({layer: about.layers[0].name, low: undefined, high: undefined});
  watch.panels = [...(about.task === "classification" ? [probabilities] : []), raster, membranes, rates,
    ...(Object.keys(about.costs).length ? [energy] : [])].map(make => make(watch.results));
  for (const panel of watch.panels) buttons(panel, fileName);
  overlay.attach(watch.results);
  overlay.restore();
  at("panels").replaceChildren(...watch.panels.map(panel => panel.root));
  document.dispatchEvent(new CustomEvent("panels"));
}

const fileName = () => `${clock.source.name.replace(/[^\w.-]/g, "_")}-frame${state.frame}`;

// The picture with what is drawn over it.
function film() {
  const canvas = Object.assign(document.createElement("canvas"), {width: at("overlay").width || at("picture").width, height: at("overlay").height || at("picture").height});
  const pen = canvas.getContext("2d");
  pen.drawImage(at("picture"), 0, 0, canvas.width, canvas.height);
  if (state.shown && state.shown !== "none") pen.drawImage(at("overlay"), 0, 0, canvas.width, canvas.height);
  return canvas;
}

function savePage() {
  if (!clock.source) { note("Open a source first.", true); return; }
  const facts = [["source", clock.source.name], ["frame", `${state.frame} of ${clock.source.frames}`], ["time", stamp(state.frame)],
    ...(watch.results ? [["weights", watch.results.about.weights], ["model", watch.results.about.model], ["answer", at("answer").textContent]] : []),
    ...Object.entries(clock.source.assumed ?? {})];
  const parts = [{title: `Frame ${state.frame}`, image: film().toDataURL("image/png")}, ...watch.panels.map(panel => ({title: panel.title, svg: svgOf(panel)}))];
  save(`${fileName()}.html`, pageOf(`${clock.source.name}, frame ${state.frame}`, facts, parts), "text/html");
}

let due = 0;
function take(window) {
  const {results} = watch;
  if (!results) return;
  results.add(window);
  results.about.windows = Math.max(results.about.windows, window.windows);
  const all = results.about.windows, got = results.windows.size;
  at("progress").textContent = got < all ? `${got} of ${all} windows` : `${all} windows, all computed`;
  document.documentElement.dataset.computed = got;
  if (got === 1 || got === all) { clearTimeout(due); due = 0; paint(true); }
  else due ||= setTimeout(() => { due = 0; paint(true); }, 300);
}

// Everything at the frame of the clock. Says in data-painted when the last panel shows it.
export async function paint(all = false) {
  if (!clock.source || state.view !== "watch") return;
  const number = picture.wanted = clamp(state.frame);
  // the change of the range paints everything by itself
  if (follow(number)) return;
  at("scrub").value = at("number").value = number;
  at("scrub").setAttribute("aria-valuetext", `frame ${number} of ${clock.source.frames}, ${stamp(number)}`);
  at("time").textContent = stamp(number);
  const found = watch.results?.at(number) ?? null, theme = colours();
  // first all that asks for sizes, then all that changes them
  for (const panel of watch.panels) if (all || panel.dirty) panel.draw(); else panel.move();
  for (const panel of watch.panels) panel.tell(found, theme);
  answer(found);
  try {
    const film = picture.show(number, clock.playing ? 24 : 0);
    await Promise.all([film, overlay.paint(number, found, film), ...watch.panels.map(panel => panel.update?.(number, found))]);
  } catch (error) {
    if (picture.wanted === number) at("caption").textContent = error.message;
    return;
  }
  if (picture.wanted !== number) return;
  at("caption").textContent = `${clock.source.name}, frame ${number} of ${clock.source.frames}`;
  document.documentElement.dataset.painted = number;
  document.dispatchEvent(new CustomEvent("painted", {detail: {number, found}}));
}

// The shown range goes along with the clock, a page at a time.
function follow(number) {
  const [first, end] = range();
  if (number >= first && number < end) return false;
  const length = end - first, start = Math.min(Math.max(number - Math.floor(length / 8), 0), Math.max(last() + 1 - length, 0));
  set({first: start, stop: start + length});
  return true;
}

function answer(found) {
  const results = watch.results;
  if (!results) return;
  const p = found && answerAt(found.window, found.step);
  if (!found) { at("answer").textContent = "This frame is not computed yet."; return; }
  if (!p) { at("answer").textContent = ""; return; }
  const best = p.indexOf(Math.max(...p));
  at("answer").innerHTML = `<span class="best"></span> <span></span>`;
  at("answer").children[0].textContent = results.about.classes[best];
  at("answer").children[1].textContent = `${(100 * p[best]).toFixed(1)} % after ${found.step + 1} of ${found.window.frames.length} frames of window ${found.window.number}`;
}

// Says where somebody looks: there the server goes on.
let told = 0, looked = -1;
function look() {
  const found = watch.results?.at(state.frame), here = found ? found.window.number : -2;
  if (!watch.results || here === looked) return;
  looked = here;
  clearTimeout(told);
  told = setTimeout(() => { if (watch.results) post(`/api/analyses/${watch.results.about.id}/look`, {frame: state.frame}).catch(() => {}); }, 100);
}

function changed(names) {
  // other views change the same state: what they left is taken up when this one is shown
  if (state.view !== "watch") { stop(); return; }
  if (names.has("weights") || names.has("view")) at("weights").value = state.weights ?? "";
  if (state.place && state.place !== asked) { open(state.place).catch(() => {}); return; }
  if (state.weights && analysed && state.weights !== analysed) { run().catch(() => {}); return; }
  if (["view", "first", "stop", "layer", "low", "high", "cost", "neurons"].some(name => names.has(name))) { paint(true); return; }
  if (names.has("frame")) {
    paint();
    look();
  }
  if (names.has("token")) overlay.restore();
  if (names.has("shown") || names.has("token")) paint();
}

export function zoom(factor) {
  const [first, end] = range(), all = clock.source?.frames ?? 1;
  const length = Math.min(Math.max(Math.round((end - first) * factor), Math.min(8, all)), all);
  const share = (state.frame - first) / Math.max(end - first, 1);
  const start = Math.min(Math.max(Math.round(state.frame - share * length), 0), all - length);
  set(length >= all ? {first: undefined, stop: undefined} : {first: start, stop: start + length});
}

const ready = () => picture.shown === clamp(state.frame);

export function setUp() {
  overlay.setUp();
  at("open").onclick = () => choose({title: "Open a video or recording", devices: true, taken: open});
  at("pick-weights").onclick = () => choose({title: "Choose weights", devices: false, kind: "weights", folders: "Take this run", taken: async place => { set({weights: place}); if (clock.source && !analysed) await run(); }});
  at("weights").onchange = () => set({weights: at("weights").value.trim()});
  at("weights").onkeydown = event => { if (event.key === "Enter") { set({weights: at("weights").value.trim()}); run().catch(() => {}); } };
  at("every").onchange = () => set({every: at("every").value ? Number(at("every").value) : undefined});
  at("analyse").onclick = () => { set({weights: at("weights").value.trim()}); run().catch(() => {}); };
  at("save-page").onclick = savePage;
  at("save-picture").onclick = () => film().toBlob(blob => save(`${fileName()}.png`, blob));
  at("copy-link").onclick = async () => note(await copyLink());
  at("webcam").onclick = openCamera;
  at("camera-stop").onclick = stopCamera;
  at("play").onclick = () => toggle(ready);
  at("back").onclick = () => step(-1);
  at("on").onclick = () => step(1);
  at("scrub").oninput = () => { stop(); seek(Number(at("scrub").value)); };
  at("number").onchange = () => { stop(); seek(Number(at("number").value)); };
  at("zoom-in").onclick = () => zoom(.5);
  at("zoom-out").onclick = () => zoom(2);
  at("zoom-all").onclick = () => set({first: undefined, stop: undefined});
  document.addEventListener("clock", () => { at("play").textContent = clock.playing ? "Stop" : "Play"; });
  document.addEventListener("keydown", event => {
    if (state.view !== "watch" || key(event, ready)) return;
    if (event.target.closest?.("input:not([type=range]), select, dialog")) return;
    if (event.key === "+" || event.key === "=") zoom(.5);
    if (event.key === "-") zoom(2);
  });
  listen(changed);
  let size = 0;
  addEventListener("resize", () => { clearTimeout(size); size = setTimeout(() => paint(true), 120); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => paint(true));
  json("/api/weights").then(({weights}) => at("weights-known").replaceChildren(...weights.map(name => new Option(name)))).catch(() => {});
}
