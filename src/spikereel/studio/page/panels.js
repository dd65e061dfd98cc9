// The panels of one network: probabilities, spikes, rates, energy.
import {ask, query} from "./api.js";
import {dash, short} from "./draw.js";
import {Panel, range, scale, stairs, swatch} from "./plot.js";
import {answerAt, mean} from "./results.js";
import {set, state} from "./state.js";

function legend(panel, rows) {
  panel.legend.replaceChildren(...rows.map(({name, colour, shape, value}) => {
    const item = document.createElement("li");
    item.innerHTML = `${swatch(colour, shape)}<span></span> <b></b>`;
    item.querySelector("span").textContent = name;
    item.querySelector("b").textContent = value ?? "";
    return item;
  }));
}
const percent = value => value === null || value === undefined ? "–" : `${(100 * value).toFixed(1)} %`;

// The classes that are likeliest over all that is known, at most six.
function leading(results) {
  const sums = results.about.classes.map(() => 0);
  for (const window of results.list) window.probabilities?.forEach(row => row.forEach((p, i) => { sums[i] = Math.max(sums[i], p) + 1e-6 * p; }));
  return sums.map((value, i) => [value, i]).sort((a, b) => b[0] - a[0]).slice(0, 6).map(pair => pair[1]).sort((a, b) => a - b);
}

export function probabilities(results) {
  let shown = [], version = -1;
  const panel = new Panel({id: "probabilities", title: "Probabilities", height: 130,
    label: () => `of ${results.about.classes.length} classes`,
    paint(surface, box, theme) {
      if (version !== results.version) { shown = leading(results); version = results.version; }
      const y = scale(surface, box, theme, 0, 1, value => `${Math.round(100 * value)} %`);
      shown.forEach((own, i) => surface.path(stairs(results, box, (w, s) => answerAt(w, s)?.[own], y), theme.series[i], 2, dash(i)));
    }});
  panel.tell = (at, theme) => legend(panel, shown.map((own, i) => ({name: results.about.classes[own], colour: theme.series[i],
    shape: dash(i), value: at ? percent(answerAt(at.window, at.step)?.[own]) : "–"})));
  panel.table = () => [["frame", ...results.about.classes],
    ...rowsOf(results, (w, s) => answerAt(w, s) ?? [])];
  return panel;
}

function rowsOf(results, of) {
  const rows = [];
  for (const window of results.list) window.frames.forEach((frame, step) => rows.push([frame, ...of(window, step)]));
  return rows;
}

function layerChoice(panel, results, changed) {
  const label = document.createElement("label"), select = document.createElement("select");
  label.append("Layer ", select);
  for (const layer of results.about.layers) select.add(new Option(layer.name, layer.name));
  select.value = state.layer;
  select.addEventListener("change", () => changed(select.value));
  panel.head.append(label);
  panel.layers = select;
}

export const layerOf = results => results.about.layers.find(x => x.name === state.layer) ?? results.about.layers[0];

export function rates(results) {
  const names = results.about.layers.map(x => x.name);
  const panel = new Panel({id: "rates", title: "Firing rates", height: 110,
    label: () => `spikes of a neuron in a frame, mean of ${layerOf(results).name} and of all layers`,
    paint(surface, box, theme) {
      const own = layerOf(results).name;
      const lines = [(w, s) => w.rates[own]?.[s], (w, s) => mean(names.map(name => w.rates[name][s]))];
      let most = 0.01;
      for (const of of lines) results.each(box.first, box.stop, of, (_a, _b, value) => { most = Math.max(most, value); });
      const y = scale(surface, box, theme, 0, most * 1.05, short);
      lines.forEach((of, i) => surface.path(stairs(results, box, of, y), theme.series[i], 2, dash(i)));
    }});
  panel.tell = (at, theme) => {
    const own = layerOf(results).name;
    legend(panel, [{name: own, value: at ? short(at.window.rates[own][at.step]) : "–"},
      {name: "mean of all layers", value: at ? short(mean(names.map(name => at.window.rates[name][at.step]))) : "–"}]
      .map((row, i) => ({...row, colour: theme.series[i], shape: dash(i)})));
  };
  panel.table = () => [["frame", ...names], ...rowsOf(results, (w, s) => names.map(name => w.rates[name][s]))];
  return panel;
}

export function energy(results) {
  const costs = results.about.costs;
  const cost = () => costs[state.cost] ? state.cost : Object.keys(costs)[0];
  const panel = new Panel({id: "energy", title: "Energy", height: 110, label: () => `millijoules of a frame, ${costs[cost()].title}`,
    paint(surface, box, theme) {
      const of = (w, s) => w.energy[cost()][s];
      let most = 1e-9;
      results.each(box.first, box.stop, of, (_a, _b, value) => { most = Math.max(most, value); });
      const y = scale(surface, box, theme, 0, most * 1.05, short);
      surface.path(stairs(results, box, of, y), theme.series[2], 2);
    }});
  const label = document.createElement("label"), select = document.createElement("select");
  label.append("Cost model ", select);
  for (const [name, row] of Object.entries(costs)) select.add(new Option(`${name}: ${row.title}`, name));
  select.value = cost();
  select.addEventListener("change", () => set({cost: select.value}));
  panel.head.append(label);
  const facts = document.createElement("details");
  facts.innerHTML = "<summary>What is counted and what is left out</summary><ul></ul>";
  facts.className = "said";
  panel.root.append(facts);
  panel.tell = (at, theme) => {
    select.value = cost();
    legend(panel, [{name: "mJ a frame", colour: theme.series[2], shape: [], value: at ? short(at.window.energy[cost()][at.step]) : "–"}]);
    const rows = [costs[cost()].source, ...costs[cost()].assumptions];
    facts.querySelector("ul").replaceChildren(...rows.map(text => Object.assign(document.createElement("li"), {textContent: text})));
  };
  panel.table = () => [["frame", ...Object.keys(costs)], ...rowsOf(results, (w, s) => Object.keys(costs).map(name => w.energy[name][s]))];
  return panel;
}

// Spikes: the server sends tiles of a byte a point, so that any number of spikes costs the page the same.
export function raster(results) {
  let tile = null, asked = "", busy = "", again = false, waiting = null;
  const limits = () => {
    const size = layerOf(results).size, low = Math.min(Math.max(state.low ?? 0, 0), size - 1);
    return [low, Math.min(Math.max(state.high ?? size, low + 1), size)];
  };
  const panel = new Panel({id: "raster", title: "Spikes", height: 190, label: () => {
      const [low, high] = limits();
      return `neurons ${low} to ${high - 1} of ${layerOf(results).name}; darker is more of them firing`;
    },
    paint(surface, box, theme) {
      surface.rect(box.left, 0, box.width, box.height, theme.unknown);
      const [low, high] = limits();
      surface.text(String(low), box.left - 5, 10, theme.faint, {align: "right", size: 10});
      surface.text(String(high - 1), box.left - 5, box.height, theme.faint, {align: "right", size: 10});
      if (tile) surface.image(tinted(tile, theme), box.left, 0, box.width, box.height);
    }});
  layerChoice(panel, results, layer => set({layer, low: undefined, high: undefined}));
  const inputs = ["from", "to"].map(word => {
    const label = document.createElement("label"), input = document.createElement("input");
    Object.assign(input, {type: "number", min: 0});
    label.append(`${word} neuron `, input);
    panel.head.append(label);
    return input;
  });
  inputs[0].addEventListener("change", () => set({low: Number(inputs[0].value)}));
  inputs[1].addEventListener("change", () => set({high: Number(inputs[1].value) + 1}));
  panel.update = async () => {
    const [low, high] = limits(), [first, end] = range(), layer = layerOf(results);
    panel.layers.value = layer.name;
    [low, high - 1].forEach((value, i) => { if (document.activeElement !== inputs[i]) inputs[i].value = value; inputs[i].max = layer.size - 1; });
    if (!layer.recorded) { tile = null; panel.say("Too large to keep its spikes; its rates are kept."); panel.draw(); return; }
    const ask_ = query(`/api/analyses/${results.about.id}/raster`, {layer: layer.name, low, high, first, stop: end,
      rows: Math.min(high - low, 160), columns: Math.min(Math.max(Math.round((panel.plot.clientWidth - 46) * Math.min(devicePixelRatio, 2)), 64), 1536)});
    const key = `${ask_}@${results.version}`;
    if (key === asked) return waiting;
    // results may come faster than tiles: one request of a view at a time, and the newest after it
    if (busy === ask_) { again = true; return waiting; }
    asked = key;
    busy = ask_;
    waiting = (async () => {
      try {
        const answer = await ask(ask_);
        const bytes = new Uint8Array(await answer.arrayBuffer());
        if (busy !== ask_) return;
        tile = {bytes, rows: Number(answer.headers.get("x-rows")), columns: Number(answer.headers.get("x-columns"))};
        panel.say(thinned(tile, high - low, end - first));
        panel.draw();
      } catch (error) { if (busy === ask_) { asked = ""; panel.say(error.message, true); } }
      if (busy !== ask_) return;
      busy = "";
      if (again) { again = false; await panel.update(); }
    })();
    return waiting;
  };
  panel.tell = () => {};
  panel.table = () => [["row", "columns: share of neurons firing, 0 to 254, 255 unknown"],
    ...(tile ? Array.from({length: tile.rows}, (_, r) => [r, ...tile.bytes.subarray(r * tile.columns, (r + 1) * tile.columns)]) : [])];
  return panel;
}

function thinned(tile, neurons, frames) {
  const parts = [];
  if (neurons > tile.rows) parts.push(`${Math.ceil(neurons / tile.rows)} neurons a row`);
  if (frames > 4 * tile.columns) parts.push(`4 of about ${Math.round(frames / tile.columns)} frames a column are looked at`);
  return parts.length ? `Thinned: ${parts.join(", ")}. Zoom or choose fewer neurons to see each.` : "Every spike is shown.";
}

function tinted({bytes, rows, columns}, theme) {
  const canvas = new OffscreenCanvas(columns, rows), pen = canvas.getContext("2d"), image = pen.createImageData(columns, rows);
  // one hue, from the background to ink: told apart by lightness alone
  const [from, to] = theme.dark ? [[28, 32, 39], [238, 242, 250]] : [[245, 246, 248], [10, 40, 60]];
  for (let i = 0; i < bytes.length; i++) {
    const share = bytes[i] === 255 ? 0 : Math.sqrt(bytes[i] / 254);
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = from[c] + (to[c] - from[c]) * share;
    image.data[4 * i + 3] = bytes[i] === 255 ? 0 : 255;
  }
  pen.putImageData(image, 0, 0);
  const shown = document.createElement("canvas");
  Object.assign(shown, {width: columns, height: rows});
  shown.getContext("2d").drawImage(canvas, 0, 0);
  return shown;
}
