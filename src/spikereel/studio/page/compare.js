// Two networks on the same clips: where they disagree, which layer differs first, and nothing that is alike.
import {post, json, query} from "./api.js";
import {choose} from "./chooser.js";
import {colours, OnCanvas, short} from "./draw.js";
import {buttons, copyLink, csvOf, pageOf, save, svgOf} from "./share.js";
import {listen, set, state} from "./state.js";
import {note} from "./watch.js";

const root = document.getElementById("compare"), SPLIT = "|";
const found = new Map();
let chosen = "", running = 0;

root.innerHTML = `<div class="bar">
    <label>Network A <input id="a" list="weights-known" size="26" autocomplete="off" spellcheck="false"></label><button type="button" id="a-file">File or run …</button>
    <label>Network B <input id="b" list="weights-known" size="26" autocomplete="off" spellcheck="false"></label><button type="button" id="b-file">File or run …</button>
    <button type="button" id="add">Add clips …</button><button type="button" id="clear">Remove clips</button>
    <button type="button" class="primary" id="go">Compare</button><span id="compared" role="status"></span></div>
  <p id="compare-empty" class="empty">Name two networks and add clips: each clip is traced through both, spike by spike.
    You see on which clips they disagree, the first layer whose spikes differ, and only the settings and figures that differ.</p>
  <div id="compare-found" hidden>
    <div class="bar files"><label><input type="checkbox" id="only"> Only clips on which they disagree</label>
      <button type="button" id="compare-link">Copy link</button><button type="button" id="compare-html">View as HTML</button><button type="button" id="compare-csv">Table as CSV</button></div>
    <div class="scroll" tabindex="0" role="region" aria-label="Clips"><table id="clips"><thead><tr><th scope="col">Clip</th><th scope="col">A says</th><th scope="col">B says</th><th scope="col">Answers</th><th scope="col">First layer that differs</th><th scope="col">at frame</th><th scope="col">Layers that differ</th></tr></thead><tbody></tbody></table></div>
    <section id="difference" class="panel" hidden aria-label="Difference"></section>
  </div>`;
const at = id => root.querySelector(`#${id}`);
const clips = () => (state.clips ?? "").split(SPLIT).filter(Boolean);
const disagree = row => row.answers_differ;

async function go() {
  const own = ++running, [a, b] = [at("a").value.trim(), at("b").value.trim()];
  set({weights: a, other: b});
  if (!a || !b || !clips().length) { note("Name two networks and add a clip.", true); return; }
  note("");
  found.clear();
  at("compare-found").hidden = false;
  at("compare-empty").hidden = true;
  draw();
  for (const [i, place] of clips().entries()) {
    at("compared").textContent = `Comparing clip ${i + 1} of ${clips().length} …`;
    try { found.set(place, await post("/api/compare", {place, a, b})); } catch (error) { found.set(place, {fault: error.message}); }
    if (own !== running) return;
    draw();
  }
  const rows = [...found.values()], apart = rows.filter(disagree).length;
  at("compared").textContent = `${rows.length} clip${rows.length === 1 ? "" : "s"}, answers differ on ${apart}`;
  document.documentElement.dataset.compared = rows.length;
}

function draw() {
  const body = at("clips").tBodies[0];
  body.replaceChildren(...clips().filter(place => !at("only").checked || found.get(place)?.answers_differ).map(place => {
    const row = found.get(place), line = document.createElement("tr"), name = place.split(/[:/]/).pop();
    const cells = !row ? [name, "waiting", "", "", "", "", ""] : row.fault ? [name, row.fault, "", "", "", "", ""]
      : [name, ...row.answers, row.answers_differ ? "differ" : "agree", row.first?.layer ?? "none", row.first ? String(row.first.frame) : "–", `${row.layers.length} of ${row.compared}`];
    cells.forEach((text, i) => {
      const cell = document.createElement(i ? "td" : "th");
      if (!i) cell.scope = "row";
      if (!i && row && !row.fault) {
        const button = Object.assign(document.createElement("button"), {type: "button", textContent: text});
        button.setAttribute("aria-pressed", String(chosen === place));
        button.onclick = () => { chosen = place; set({place}); draw(); };
        cell.append(button);
      } else cell.textContent = text;
      if (row?.fault && i === 1) cell.className = "failed";
      line.append(cell);
    });
    return line;
  }));
  if (!body.children.length) body.innerHTML = `<tr><td colspan="7">${at("only").checked ? "They agree on every clip." : "No clips."}</td></tr>`;
  if (!found.get(chosen)?.shares) chosen = clips().find(place => found.get(place)?.shares) ?? "";
  detail();
}

// Rows are layers in order of execution, columns the frames that were seen.
function chart(surface, row, wide, theme) {
  const names = Object.keys(row.shares), steps = row.frames.length, left = Math.min(190, wide * .4), cell = 12;
  const most = Math.max(...names.flatMap(name => row.shares[name]), 1e-9), dx = (wide - left - 4) / steps;
  surface.rect(0, 0, wide, cell * names.length + 24, theme.back);
  names.forEach((name, y) => {
    surface.text(name.length > 30 ? `…${name.slice(-29)}` : name, left - 6, y * cell + 10, name === row.first?.layer ? theme.ink : theme.faint, {align: "right", size: 10});
    row.shares[name].forEach((share, x) => {
      const depth = share ? .18 + .82 * Math.sqrt(share / most) : 0;
      surface.rect(left + x * dx, y * cell, Math.max(dx - .5, .5), cell - 1, mix(theme, depth));
    });
    if (name === row.first?.layer) surface.path([left, y * cell - .5, wide - 4, y * cell - .5, wide - 4, (y + 1) * cell - .5, left, (y + 1) * cell - .5, left, y * cell - .5], theme.series[1], 2);
  });
  const gap = Math.ceil(steps / Math.max((wide - left) / 60, 1));
  for (let x = 0; x < steps; x += gap) surface.text(String(row.frames[x]), left + (x + .5) * dx, cell * names.length + 14, theme.faint, {align: "center", size: 10});
}
const mix = (theme, share) => {
  const [from, to] = theme.dark ? [[44, 50, 60], [238, 242, 250]] : [[226, 229, 234], [10, 40, 60]];
  return `rgb(${from.map((value, i) => Math.round(value + (to[i] - value) * share)).join(" ")})`;
};
const tall = row => 12 * Object.keys(row.shares).length + 24;

function detail() {
  const row = found.get(chosen), panel = at("difference");
  panel.hidden = !row;
  if (!row) return;
  panel.innerHTML = `<div class="head"><h2></h2><button type="button" id="see-a">Watch with A</button><button type="button" id="see-b">Watch with B</button></div>
    <p class="best" id="first-said"></p><p id="tensors-said"></p><div class="plot"><canvas role="img"></canvas></div><p class="said">Share of neurons whose spikes differ; frames of the source from left to right, layers in the order in which they run. The first layer that differs is framed. Each network
      saw the clip as <code>spikereel predict</code> shows it; Watch cuts the film into windows, where answers may be others.</p>
    <div class="pair"></div>`;
  panel.querySelector("h2").textContent = row.name;
  at("first-said").textContent = row.first ? `First layer that differs: ${row.first.layer}, at frame ${row.first.frame}, ${(100 * row.first.share).toPrecision(3)} % of its neurons.` : "No spike differs.";
  at("tensors-said").textContent = row.tensors;
  const canvas = panel.querySelector("canvas"), wide = panel.querySelector(".plot").clientWidth;
  canvas.setAttribute("aria-label", at("first-said").textContent);
  if (wide) chart(new OnCanvas(canvas, wide, tall(row)), row, wide, colours());
  buttons(panelOf(row), () => row.name.replace(/[^\w.-]/g, "_"));
  const tables = [["Answers", answers(row)], ["Settings that differ", pairs(row.settings)], ["Figures that differ", pairs(row.figures)],
    ...(row.alone.some(x => x.length) ? [["Layers that only one has", row.alone.map((x, i) => [i ? "B" : "A", x.join(", ") || "none"])]] : [])];
  panel.querySelector(".pair").replaceChildren(...tables.map(([title, rows]) => tableOf(title, rows)));
  for (const [id, weights] of [["see-a", state.weights], ["see-b", state.other]]) {
    at(id).onclick = () => set({view: "watch", place: chosen, weights, frame: row.first ? row.first.frame : row.frames[0], ...(row.first ? {layer: row.first.layer, low: undefined, high: undefined} : {})});
  }
}

// As share.js wants it.
function panelOf(row) {
  const panel = at("difference");
  return {id: "difference", title: row.name, height: tall(row), head: panel.querySelector(".head"), plot: panel.querySelector(".plot"),
    legend: document.createElement("ul"), label: () => at("first-said").textContent,
    whole: (surface, wide, theme) => chart(surface, row, wide, theme),
    table: () => [["layer", ...row.frames.map(number => `frame ${number}`)], ...Object.entries(row.shares).map(([name, shares]) => [name, ...shares])]};
}

function answers(row) {
  if (!row.probabilities[0] || !row.probabilities[1]) return [["", "A", "B"], ["answer", ...row.answers]];
  const last = row.probabilities.map(rows => rows.at(-1)), names = row.classes[0];
  const order = names.map((name, i) => [name, last[0][i], last[1][i]]).sort((x, y) => Math.max(y[1], y[2]) - Math.max(x[1], x[2])).slice(0, 6);
  return [["class", "A", "B"], ...order.map(([name, x, y]) => [name, `${(100 * x).toFixed(1)} %`, y === undefined ? "–" : `${(100 * y).toFixed(1)} %`])];
}
const said = value => typeof value === "number" ? (Number.isInteger(value) ? String(value) : short(value)) : value === null || value === undefined ? "–" : typeof value === "string" ? value : JSON.stringify(value);
const pairs = values => [["", "A", "B"], ...(Object.keys(values).length ? Object.entries(values).map(([name, [x, y]]) => [name, said(x), said(y)]) : [["none", "", ""]])];

function tableOf(title, rows) {
  const box = document.createElement("div"), table = document.createElement("table");
  box.className = "scroll";
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", title);
  table.createCaption().textContent = title;
  for (const [r, row] of rows.entries()) {
    const line = table.insertRow();
    row.forEach((text, i) => { const cell = document.createElement(!r && text ? "th" : "td"); if (!r && text) cell.scope = "col"; cell.textContent = text; line.append(cell); });
  }
  box.append(table);
  return box;
}

function rowsOf() {
  return [["clip", "A says", "B says", "answers differ", "first layer", "frame", "share", "layers that differ"],
    ...clips().map(place => [place, found.get(place)]).filter(([, row]) => row?.shares).map(([place, row]) => [place, ...row.answers, row.answers_differ, row.first?.layer ?? "", row.first ? row.first.frame : "", row.first?.share ?? "", row.layers.length])];
}

function savePage() {
  const row = found.get(chosen), parts = [{title: "Clips", rows: rowsOf()}];
  if (row) {
    parts.push({title: at("first-said").textContent, svg: svgOf(panelOf(row))}, {title: "Weights that differ", rows: [["", row.tensors]]}, {title: "Answers", rows: answers(row)}, {title: "Settings that differ", rows: pairs(row.settings)}, {title: "Figures that differ", rows: pairs(row.figures)});
  }
  save("compare.html", pageOf("Two networks on the same clips", [["A", state.weights], ["B", state.other]], parts), "text/html");
}

async function add(place) {
  const kept = clips();
  if (place.endsWith("/*")) {
    const {entries} = await json(query("/api/files", {place: place.slice(0, -2)}));
    kept.push(...entries.filter(x => x.kind === "clip").map(x => x.place));
  } else kept.push(place);
  set({clips: [...new Set(kept)].join(SPLIT)});
  at("compared").textContent = `${clips().length} clips`;
}

export function setUp() {
  at("a").value = state.weights ?? "";
  at("b").value = state.other ?? "";
  at("compared").textContent = clips().length ? `${clips().length} clips` : "";
  for (const id of ["a", "b"]) {
    at(`${id}-file`).onclick = () => choose({title: `Network ${id.toUpperCase()}`, devices: false, kind: "weights", folders: "Take this run", taken: place => { at(id).value = place; }});
  }
  at("add").onclick = () => choose({title: "Add clips", devices: false, folders: "Add all clips of this folder", all: true, taken: add});
  at("clear").onclick = () => { set({clips: undefined}); found.clear(); at("compared").textContent = ""; draw(); };
  at("go").onclick = go;
  at("only").checked = state.only === "yes";
  at("only").onchange = () => { set({only: at("only").checked ? "yes" : undefined}); draw(); };
  chosen = clips().includes(state.place) ? state.place : "";
  at("compare-link").onclick = async () => note(await copyLink());
  at("compare-html").onclick = savePage;
  at("compare-csv").onclick = () => save("compare.csv", csvOf(rowsOf()), "text/csv");
  let size = 0;
  const again = () => { clearTimeout(size); size = setTimeout(() => state.view === "compare" && detail(), 120); };
  addEventListener("resize", again);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  listen(names => { if (names.has("view") && state.view === "compare") { at("a").value ||= state.weights ?? ""; detail(); } });
  if (state.view === "compare" && state.weights && state.other && clips().length) go();
}
