// What is drawn over the picture: the answer, what a token attends to, joints, masks.
import {ask, json, query} from "./api.js";
import {clock} from "./clock.js";
import {answerAt} from "./results.js";
import {set, state} from "./state.js";

const at = id => document.getElementById(id);
const canvas = at("overlay"), screen = canvas.parentElement;
let results = null, token = null, serial = 0;
const rows = new Map(), joints = new Map();

export function attach(found) {
  results = found;
  rows.clear();
  joints.clear();
  token = null;
  const {about} = results, kinds = [["none", "nothing"]];
  if (about.task === "classification") kinds.push(["class", "class"]);
  if (about.drawn.kind) kinds.push([about.drawn.kind, about.drawn.kind]);
  if (about.attentions?.length && about.box) for (const row of about.attentions) kinds.push([`attention ${row.name}`, `attention ${row.name}`]);
  at("shown").replaceChildren(...kinds.map(([value, text]) => new Option(text, value)));
  if (!kinds.some(([value]) => value === state.shown)) set({shown: about.drawn.kind ?? (about.task === "classification" ? "class" : "none")});
  at("shown").value = state.shown;
}

export function end() { results = null; token = null; clear(); at("shown").replaceChildren(); at("token-row").hidden = true; }

function clear() { canvas.width = canvas.width; }

function layer() { return results?.about.attentions?.find(row => `attention ${row.name}` === state.shown); }

// Where a grid of tokens lies in the picture: left, top, width, height as shares of it.
function place() {
  const [left, top, width, height] = results.about.box, {width: w, height: h} = clock.source;
  return [left / w, top / h, width / w, height / h];
}

export async function paint(number, found, film) {
  const own = ++serial, kind = state.shown ?? "none";
  at("token-row").hidden = !layer();
  if (!results || !found || kind === "none") { clear(); return; }
  at("shown").value = kind;
  let draw = () => {};
  if (kind === "class") draw = pen => label(pen, found);
  else if (kind === "joints") { const points = await jointsOf(found.window.number); draw = pen => skeleton(pen, points[found.step]); }
  else if (kind === "masks") { const mask = await maskOf(found.window.number, found.step); draw = pen => masks(pen, mask); }
  else if (layer()) { const row = await attention(found); draw = pen => heat(pen, row, found); }
  if (!await film || own !== serial) return;
  canvas.width = at("picture").width;
  canvas.height = at("picture").height;
  const scale = Math.max(canvas.width, canvas.height) < 400 ? 2 : 1;
  canvas.width *= scale;
  canvas.height *= scale;
  draw(canvas.getContext("2d"));
}

function label(pen, found) {
  const p = answerAt(found.window, found.step);
  if (!p) return;
  const best = p.indexOf(Math.max(...p)), size = Math.max(canvas.height / 14, 12);
  pen.font = `600 ${size}px system-ui, sans-serif`;
  const text = `${results.about.classes[best]} ${Math.round(100 * p[best])} %`, width = pen.measureText(text).width;
  pen.fillStyle = "rgb(0 0 0 / .66)";
  pen.fillRect(0, canvas.height - size * 1.5, width + size, size * 1.5);
  pen.fillStyle = "#fff";
  pen.fillText(text, size / 2, canvas.height - size * .45);
}

async function jointsOf(window) {
  if (!joints.has(window)) joints.set(window, (await json(query(`/api/analyses/${results.about.id}/points`, {number: window}))).points);
  return joints.get(window);
}

function skeleton(pen, points) {
  if (!points) return;
  const x = v => v / clock.source.width * canvas.width, y = v => v / clock.source.height * canvas.height;
  pen.lineCap = "round";
  for (const [colour, width] of [["#000", 6], ["#40d6a4", 3]]) {
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    for (const [a, b] of results.about.drawn.bones) {
      pen.beginPath();
      pen.moveTo(x(points[a][0]), y(points[a][1]));
      pen.lineTo(x(points[b][0]), y(points[b][1]));
      pen.stroke();
    }
  }
}

async function maskOf(window, step) {
  const answer = await ask(query(`/api/analyses/${results.about.id}/mask`, {number: window, step}));
  return {bytes: new Uint8Array(await answer.arrayBuffer()), width: Number(answer.headers.get("x-width")), height: Number(answer.headers.get("x-height"))};
}

function masks(pen, {bytes, width, height}) {
  const small = new OffscreenCanvas(width, height), image = new ImageData(width, height);
  bytes.forEach((own, i) => image.data.set([...results.about.drawn.colours[own] ?? [0, 0, 0], 130], 4 * i));
  small.getContext("2d").putImageData(image, 0, 0);
  pen.imageSmoothingEnabled = false;
  pen.drawImage(small, 0, 0, canvas.width, canvas.height);
}

async function attention(found) {
  const [height, width] = layer().grid;
  // the layer before may have had more tokens
  const [x, y] = (token ?? [Math.floor(width / 2), Math.floor(height / 2)]).map((at, i) => Math.min(at, [width, height][i] - 1));
  const key = [found.window.number, found.step, y, x, layer().name].join();
  if (!rows.has(key)) {
    rows.set(key, json(query(`/api/analyses/${results.about.id}/attention`, {number: found.window.number, step: found.step, y, x, layer: layer().name})));
    if (rows.size > 64) rows.delete(rows.keys().next().value);
  }
  return rows.get(key);
}

// Blue where a token is unlike the one that looks, orange where it is alike: told apart by any eye.
function heat(pen, row, found) {
  const frame = row.values[found.step - row.first];
  const [left, top, wide, high] = place(), [h, w] = row.grid;
  const x0 = left * canvas.width, y0 = top * canvas.height, dx = wide * canvas.width / w, dy = high * canvas.height / h;
  const flat = row.values.flat(2).filter(v => v !== null), most = Math.max(...flat), least = Math.min(...flat);
  frame?.forEach((line, y) => line.forEach((value, x) => {
    if (value === null) return;
    const share = most > least ? 2 * (value - least) / (most - least) - 1 : 0;
    pen.fillStyle = share > 0 ? `rgb(255 150 20 / ${.75 * share})` : `rgb(30 110 255 / ${-.75 * share})`;
    pen.fillRect(x0 + x * dx, y0 + y * dy, dx, dy);
  }));
  const [, ty, tx] = row.token;
  for (const [colour, width] of [["#000", 4], ["#fff", 2]]) {
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    pen.strokeRect(x0 + tx * dx, y0 + ty * dy, dx, dy);
  }
  canvas.dataset.token = row.token.join();
  at("token-said").textContent = `Token row ${ty}, column ${tx} of ${h} × ${w}: orange is most alike (${most}), blue least (${least}), by ${row.similarity} similarity, mean over heads.`;
  const [r, c] = [at("token-y"), at("token-x")];
  r.max = h - 1; c.max = w - 1; r.value = ty; c.value = tx;
}

function choose(x, y) {
  const own = layer();
  if (!own) return;
  const [height, width] = own.grid;
  const next = [Math.min(Math.max(x, 0), width - 1), Math.min(Math.max(y, 0), height - 1)];
  if (token && token[0] === next[0] && token[1] === next[1]) return;
  token = next;
  set({token: token.join()});
}

export function restore() {
  const found = /^(\d+),(\d+)$/.exec(state.token ?? "");
  token = found ? [Number(found[1]), Number(found[2])] : null;
}

export function setUp() {
  screen.addEventListener("pointermove", event => {
    if (!layer()) return;
    const box = screen.getBoundingClientRect(), [left, top, wide, high] = place(), [h, w] = layer().grid;
    choose(Math.floor(((event.clientX - box.x) / box.width - left) / wide * w), Math.floor(((event.clientY - box.y) / box.height - top) / high * h));
  });
  for (const id of ["token-y", "token-x"]) at(id).addEventListener("change", () => choose(Number(at("token-x").value), Number(at("token-y").value)));
  at("shown").addEventListener("change", () => set({shown: at("shown").value}));
}
