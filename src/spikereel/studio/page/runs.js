// Runs: tables, curves, passports, what is behind a cell of the confusion matrix, and recipes that are started here.
import {ask, json, post, query} from "./api.js";
import {Curve} from "./curves.js";
import {short} from "./draw.js";
import {buttons, csvOf, pageOf, save, svgOf} from "./share.js";
import {listen, set, state} from "./state.js";
import {note} from "./watch.js";

const root = document.getElementById("runs");
root.innerHTML = `<details id="new" class="panel"><summary>Train a recipe</summary>
    <div class="bar"><label>Recipe <select id="recipe"></select></label><button type="button" id="start" class="primary">Start</button></div>
    <p class="said" id="recipe-said"></p>
    <label>Changed fields, one key=value a line; files as NAME:PATH<br><textarea id="changes" rows="4" cols="60" spellcheck="false"></textarea></label>
    <details><summary>All fields of this recipe</summary><div class="scroll" tabindex="0" role="region" aria-label="Fields"><table id="fields"></table></div></details>
    <p id="start-fault" role="alert"></p></details>
  <div id="trainings"></div>
  <div class="bar"><h2>Runs</h2><button type="button" id="refresh">Look again</button><button type="button" id="runs-csv">Table as CSV</button><span id="runs-said" role="status"></span></div>
  <p id="runs-empty" class="empty" hidden>No runs here. Start a recipe above, or give folders of runs: spikereel studio RUNS.</p>
  <div class="scroll" tabindex="0" role="region" aria-label="Table of runs"><table id="runs-table"><thead></thead><tbody></tbody></table></div>
  <div id="run"></div>`;
const at = id => root.querySelector(`#${id}`), fileOf = place => place.split(/[:/]/).pop();
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
let list = [], shown = "", panels = [], cells = null;

const HEAD = ["run", "recipe", "task", "model", "accuracy, %", "energy of a clip, mJ", "seconds", "state"];
const row = run => [run.name, run.recipe, run.task, run.model, run.top1 === null ? "–" : run.top1.toFixed(1), run.energy ? short(run.energy) : "–", run.seconds === null ? "–" : Math.round(run.seconds), run.finished ? "finished" : run.resumable ? "has a checkpoint" : "no report"];

async function refresh() {
  at("runs-said").textContent = "Looking …";
  try { list = (await json("/api/runs")).runs; } catch (error) { at("runs-said").textContent = error.message; return; }
  at("runs-said").textContent = plural(list.length, "run");
  at("runs-empty").hidden = list.length > 0;
  at("runs-table").tHead.innerHTML = list.length ? `<tr>${HEAD.map(name => `<th scope="col">${name}</th>`).join("")}</tr>` : "";
  at("runs-table").tBodies[0].replaceChildren(...list.map(run => {
    const line = document.createElement("tr");
    row(run).forEach((text, i) => {
      const cell = document.createElement(i ? "td" : "th");
      if (i) cell.textContent = text; else {
        cell.scope = "row";
        const button = Object.assign(document.createElement("button"), {type: "button", textContent: text});
        button.setAttribute("aria-pressed", String(run.place === state.run));
        button.onclick = () => set({run: run.place, cell: undefined});
        cell.append(button);
      }
      line.append(cell);
    });
    return line;
  }));
}

async function show() {
  shown = state.run ?? "";
  cells = null;
  const box = at("run");
  for (const button of at("runs-table").querySelectorAll("button")) button.setAttribute("aria-pressed", String(list.find(run => run.name === button.textContent)?.place === shown));
  if (!shown) { box.replaceChildren(); return; }
  box.innerHTML = `<p class="empty">Loading ${"…"}</p>`;
  const own = shown;
  try {
    const [run, {curves}] = await Promise.all([json(query("/api/runs/details", {place: own})), json(query("/api/runs/curves", {place: own}))]);
    if (own !== shown) return;
    draw(run, curves);
  } catch (error) { box.replaceChildren(Object.assign(document.createElement("p"), {className: "failed", textContent: error.message})); }
}

function draw(run, curves) {
  const box = at("run");
  box.innerHTML = `<div class="bar"><h2></h2><button type="button" id="watch-it">Watch with its weights</button><button type="button" id="compare-it">Compare with another</button><button type="button" id="run-html">View as HTML</button></div>
    <div id="verdict"></div><div id="confusion"></div><div id="cell"></div><div id="curves" class="curves"></div><div id="facts-of-run" class="pair"></div>`;
  box.querySelector("h2").textContent = run.name;
  at("watch-it").disabled = at("compare-it").disabled = !run.weights.length;
  at("watch-it").onclick = () => set({view: "watch", weights: run.place});
  at("compare-it").onclick = () => { set({view: "compare", weights: run.place}); document.getElementById("a").value = run.place; };
  at("verdict").replaceChildren(...[...(run.report?.verdict ?? []), ...(run.report?.advice ?? [])].map(text => Object.assign(document.createElement("p"), {textContent: text})));
  if (run.report?.confusion) confusion(run.report.confusion, run.report.classes);
  const tags = Object.keys(curves).sort((a, b) => a.includes("by layer") - b.includes("by layer") || a.localeCompare(b));
  panels = tags.map(tag => new Curve(tag, [{name: run.name, points: curves[tag]}]));
  for (const panel of panels) buttons(panel, () => run.name);
  const layers = Object.assign(document.createElement("details"), {innerHTML: "<summary>Firing of every layer</summary><div class='curves'></div>"});
  at("curves").replaceChildren(...panels.filter(panel => !panel.title.includes("by layer")).map(panel => panel.root), layers);
  layers.querySelector("div").replaceChildren(...panels.filter(panel => panel.title.includes("by layer")).map(panel => panel.root));
  layers.hidden = !layers.querySelector("section");
  layers.addEventListener("toggle", () => panels.forEach(panel => panel.draw()));
  if (!tags.length) at("curves").textContent = "There is no TensorBoard log in this run.";
  panels.forEach(panel => panel.draw());
  const facts = [["Settings", Object.entries(run.settings).filter(([, value]) => value !== null && value !== "" && String(value) !== "")],
    ...Object.entries(run.passports).map(([name, {energy_mj, ...values}]) => [`Passport ${name}`, [
      ...Object.entries(energy_mj).map(([cost, x]) => [`energy of a clip, mJ, ${cost}`, `${short(x.total)}${x.ann ? `, as an ANN ${short(x.ann)}` : ""}`]), ...Object.entries(values)]])];
  if (run.report?.energy) facts.unshift(["Energy of a clip, mJ", Object.entries(run.report.energy).map(([k, v]) => [k, short(v)])]);
  at("facts-of-run").replaceChildren(...facts.map(([title, rows]) => tableOf(title, rows)));
  at("run-html").onclick = () => save(`${run.name}.html`, pageOf(run.name, row(run).map((value, i) => [HEAD[i], value]), [
    ...(run.report?.confusion ? [{title: "Confusion, rows are true", rows: [["", ...run.report.classes], ...run.report.confusion.map((counts, i) => [run.report.classes[i], ...counts])]}] : []),
    ...panels.filter(panel => !panel.title.includes("by layer")).map(panel => ({title: panel.title, svg: svgOf(panel)})), ...facts.map(([title, rows]) => ({title, rows}))]), "text/html");
  if (state.cell) open(state.cell);
}

function tableOf(title, rows) {
  const box = document.createElement("div"), table = document.createElement("table");
  Object.assign(box, {className: "scroll", tabIndex: 0});
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", title);
  table.createCaption().textContent = title;
  for (const [name, value] of rows) { const line = table.insertRow(); line.append(Object.assign(document.createElement("th"), {scope: "row", textContent: name})); line.insertCell().textContent = String(value); }
  box.append(table);
  return box;
}

function confusion(counts, classes) {
  const box = document.createElement("div"), table = document.createElement("table");
  Object.assign(box, {className: "scroll", tabIndex: 0});
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", "Confusion");
  table.className = "confusion";
  table.createCaption().textContent = "Confusion";
  const said = Object.assign(document.createElement("p"), {className: "said", textContent: "Held-out clips: rows are true, columns what the network said. A number opens its clips."});
  const head = table.createTHead().insertRow();
  for (const name of ["", ...classes]) head.append(name ? Object.assign(document.createElement("th"), {scope: "col", textContent: name}) : document.createElement("td"));
  counts.forEach((line, truth) => {
    const made = table.insertRow();
    made.append(Object.assign(document.createElement("th"), {scope: "row", textContent: classes[truth]}));
    const all = Math.max(line.reduce((a, b) => a + b, 0), 1);
    line.forEach((count, guess) => {
      const cell = made.insertCell();
      cell.className = truth === guess ? "right" : "";
      if (!count) { cell.textContent = "·"; return; }
      const button = Object.assign(document.createElement("button"), {type: "button", textContent: count});
      button.setAttribute("aria-label", `${plural(count, "clip")} of ${classes[truth]} taken for ${classes[guess]}`);
      button.style.setProperty("--share", String(count / all));
      button.onclick = () => { set({cell: `${truth},${guess}`}); open(`${truth},${guess}`); };
      cell.append(button);
    });
  });
  box.append(table);
  at("confusion").replaceChildren(box, said);
}

async function open(cell) {
  const [truth, guess] = cell.split(",").map(Number), box = at("cell"), own = cells = {};
  box.innerHTML = `<p class="empty">The held-out clips are being judged …</p>`;
  let found;
  try { found = await json(query("/api/runs/cell", {place: shown, truth, guess})); }
  catch (error) { box.replaceChildren(Object.assign(document.createElement("p"), {className: "failed", textContent: error.message})); return; }
  if (own !== cells) return;
  box.innerHTML = `<h3></h3><ul class="clips"></ul>`;
  box.querySelector("h3").textContent = `${found.classes[truth]} taken for ${found.classes[guess]}: ${plural(found.clips.length, "clip")}`;
  box.querySelector("ul").replaceChildren(...found.clips.map(clip => {
    const item = document.createElement("li"), canvas = document.createElement("canvas"), name = `${clip.name}, ${(100 * clip.share).toFixed(0)} %`;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Frames of ${clip.name}`);
    if (clip.place) {
      const button = Object.assign(document.createElement("button"), {type: "button", textContent: `Watch ${name}`});
      button.onclick = () => set({view: "watch", place: clip.place, weights: shown, frame: 0});
      item.append(button);
    } else item.append(name);
    item.append(canvas);
    strip(canvas, clip.index);
    return item;
  }));
  document.documentElement.dataset.cell = cell;
}

async function strip(canvas, index) {
  try {
    const answer = await ask(query("/api/runs/strip", {place: shown, index})), bytes = new Uint8Array(await answer.arrayBuffer());
    const image = new ImageData(Number(answer.headers.get("x-width")), Number(answer.headers.get("x-height")));
    for (let i = 0, j = 0; j < bytes.length; i += 4, j += 3) image.data.set([bytes[j], bytes[j + 1], bytes[j + 2], 255], i);
    Object.assign(canvas, {width: image.width, height: image.height});
    canvas.getContext("2d").putImageData(image, 0, 0);
  } catch (error) { canvas.replaceWith(error.message); }
}

async function recipes() {
  const {recipes: known} = await json("/api/recipes");
  at("recipe").replaceChildren(...Object.keys(known).map(name => new Option(name)));
  const fields = async () => {
    at("recipe-said").textContent = known[at("recipe").value];
    const {fields: values} = await json(query("/api/recipes", {name: at("recipe").value}));
    at("fields").replaceChildren();
    for (const [key, value] of Object.entries(values)) { const line = at("fields").insertRow(); line.append(Object.assign(document.createElement("th"), {scope: "row", textContent: key})); line.insertCell().textContent = JSON.stringify(value); }
  };
  at("recipe").onchange = fields;
  await fields();
}

async function start() {
  at("start-fault").textContent = "";
  try {
    await post("/api/trainings", {recipe: at("recipe").value, changes: at("changes").value.split("\n").map(x => x.trim()).filter(Boolean)});
    await watchTrainings();
  } catch (error) { at("start-fault").textContent = error.message; }
}

let timer = 0;
async function watchTrainings() {
  clearTimeout(timer);
  let known;
  try { known = (await json("/api/trainings")).trainings; } catch (error) { note(error.message, true); return; }
  for (const training of known) one(training);
  if (known.some(x => x.state === "running") && state.view === "runs") timer = setTimeout(watchTrainings, 1500);
}

function one(training) {
  let box = at("trainings").querySelector(`[data-id="${training.id}"]`);
  if (!box) {
    box = Object.assign(document.createElement("section"), {className: "panel", innerHTML: `<div class="head"><h3></h3><b></b><button type="button">Stop</button><button type="button">Go on</button><button type="button">Curves</button></div><pre tabindex="0"></pre>`});
    box.dataset.id = training.id;
    box.setAttribute("aria-label", `Training ${training.recipe}`);
    at("trainings").prepend(box);
  }
  const [stop, resume, curves] = box.querySelectorAll("button"), before = box.dataset.state;
  box.querySelector("h3").textContent = `${training.recipe} ${training.changes.join(" ")}`;
  box.querySelector("b").textContent = box.dataset.state = training.state;
  box.querySelector("pre").textContent = training.lines.join("\n");
  stop.disabled = training.state !== "running";
  resume.disabled = !training.resumable;
  curves.disabled = !training.place;
  const told = async action => { try { await post(`/api/trainings/${training.id}/${action}`); await watchTrainings(); } catch (error) { note(error.message, true); } };
  stop.onclick = () => told("stop");
  resume.onclick = () => told("resume");
  curves.onclick = async () => { await refresh(); if (state.run === training.place) show(); else set({run: training.place}); };
  if (before === "running" && training.state !== "running") refresh();
}

let begun = false;
async function begin() {
  if (state.view !== "runs") return;
  if (!begun) { begun = true; recipes().catch(error => note(error.message, true)); }
  await refresh();
  await watchTrainings();
  if (shown !== (state.run ?? "")) await show();
  document.documentElement.dataset.runs = list.length;
}

export function setUp() {
  at("refresh").onclick = () => { shown = ""; begin(); };
  at("start").onclick = start;
  at("runs-csv").onclick = () => save("runs.csv", csvOf([HEAD, ...list.map(row)]), "text/csv");
  listen(names => { if (names.has("view")) begin(); else if (names.has("run") && state.view === "runs") show(); });
  let size = 0;
  const again = () => { clearTimeout(size); size = setTimeout(() => state.view === "runs" && panels.forEach(panel => panel.draw()), 120); };
  addEventListener("resize", again);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  begin();
}
