// The state of the view, which a link carries whole: everything in it stands behind # in the address.
const KINDS = {
  view: "text", place: "text", weights: "text", every: "number", frame: "number", first: "number", stop: "number",
  layer: "text", low: "number", high: "number", neurons: "text", cost: "text", shown: "text", token: "text",
  other: "text", clips: "text", only: "text", run: "text", cell: "text",
};
const listeners = new Set();
export const state = {view: "watch", frame: 0};

export function read(hash = location.hash) {
  const found = {view: "watch", frame: 0};
  for (const [name, text] of new URLSearchParams(hash.slice(1))) {
    if (KINDS[name] === "text") found[name] = text;
    if (KINDS[name] === "number" && Number.isFinite(Number(text)) && text !== "") found[name] = Number(text);
  }
  return found;
}

export function address(of = state) {
  const kept = Object.keys(KINDS).filter(name => of[name] !== undefined && of[name] !== "" && of[name] !== null);
  return "#" + new URLSearchParams(kept.map(name => [name, String(of[name])]));
}

let waiting = 0;
export function set(patch) {
  const changed = Object.keys(patch).filter(name => state[name] !== patch[name]);
  if (!changed.length) return;
  Object.assign(state, patch);
  for (const listener of listeners) listener(new Set(changed));
  // browsers refuse to write the address too often
  waiting ||= setTimeout(() => { waiting = 0; history.replaceState(null, "", address()); }, 250);
}

export function listen(listener) { listeners.add(listener); return () => listeners.delete(listener); }

export function restore() {
  const found = read();
  for (const name of Object.keys(state)) if (!(name in found)) found[name] = undefined;
  set(found);
}
