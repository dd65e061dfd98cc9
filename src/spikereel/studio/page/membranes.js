// Membranes of chosen neurons, around the window at the clock.
import {json, query} from "./api.js";
import {colours, dash, short} from "./draw.js";
import {Panel, scale, stairs, swatch} from "./plot.js";
import {layerOf} from "./panels.js";
import {set, state} from "./state.js";

const KEPT = 240;

export function membranes(results) {
  const kept = new Map();
  let key = "", names = [], threshold = null;
  const chosen = () => (state.neurons ?? "").split(",").map(Number).filter((n, i, all) => Number.isInteger(n) && n >= 0 && all.indexOf(n) === i && state.neurons);
  const panel = new Panel({id: "membranes", title: "Membranes", height: 130,
    label: () => `neurons ${names.join(", ")} of ${layerOf(results).name}, charged, before the reset`,
    paint(surface, box, theme) {
      let low = 0, most = threshold ?? 0.01;
      const of = i => (w, s) => kept.get(w.number)?.charged[s]?.[i];
      names.forEach((_, i) => results.each(box.first, box.stop, of(i), (_a, _b, value) => { low = Math.min(low, value); most = Math.max(most, value); }));
      const y = scale(surface, box, theme, low, most * 1.05, short);
      if (threshold !== null) surface.path([box.left, y(threshold), box.left + box.width, y(threshold)], theme.faint, 1, [3, 3]);
      names.forEach((_, i) => surface.path(stairs(results, box, of(i), y), theme.series[i % 6], 2, dash(i)));
    }});
  const label = document.createElement("label"), input = document.createElement("input");
  Object.assign(input, {type: "text", size: 14, placeholder: "spread evenly", inputMode: "numeric"});
  label.append("Neurons ", input);
  panel.head.append(label);
  input.addEventListener("change", () => set({neurons: input.value.replace(/[^\d,]/g, "") || undefined}));

  panel.update = async (_number, found) => {
    const layer = layerOf(results).name, neurons = chosen().slice(0, 6).join(",");
    if (document.activeElement !== input) input.value = state.neurons ?? "";
    if (key !== `${layer} ${neurons}`) { key = `${layer} ${neurons}`; kept.clear(); }
    if (!found || kept.has(found.window.number)) return;
    const own = key, number = found.window.number;
    try {
      const answer = await json(query(`/api/analyses/${results.about.id}/membranes`, {number, layer, neurons}));
      if (own !== key) return;
      kept.set(number, answer);
      while (kept.size > KEPT) kept.delete(kept.keys().next().value);
      ({threshold, neurons: names} = answer);
      panel.say("Membranes are fetched window by window, where the clock has been. The dashed line is the threshold.");
      panel.draw();
      panel.tell(found, colours());
    } catch (error) { panel.say(error.message, true); }
  };
  panel.tell = (at, theme) => {
    const own = at && kept.get(at.window.number);
    panel.legend.replaceChildren(...names.map((name, i) => {
      const item = document.createElement("li");
      item.innerHTML = `${swatch(theme.series[i % 6], dash(i))}<span></span> <b></b>`;
      item.querySelector("span").textContent = `neuron ${name}`;
      item.querySelector("b").textContent = own ? short(own.charged[at.step][i]) + (own.spikes[at.step][i] ? ", fires" : "") : "–";
      return item;
    }));
  };
  panel.table = () => [["frame", ...names.flatMap(n => [`${n} charged`, `${n} after`, `${n} spikes`])],
    ...[...kept.keys()].sort((a, b) => a - b).flatMap(number => {
      const window = results.windows.get(number), own = kept.get(number);
      return window.frames.map((frame, s) => [frame, ...names.flatMap((_, i) => [own.charged[s][i], own.after[s][i], own.spikes[s][i]])]);
    })];
  return panel;
}
