// The dialog that opens files of the server's folders, files of this device, and the camera.
import {json, query, send} from "./api.js";

const at = id => document.getElementById(id);
let take = null, began = false, folders = "", all = false, kind = "clip";

// kind: of the files that are listed first, others come when they are asked for.
export function choose({title, devices, taken, kind: of = "clip", folders: word = "", all: every = false}) {
  at("chooser-title").textContent = title;
  at("chooser-more").hidden = !devices;
  at("chooser-fault").textContent = "";
  [take, folders, all, kind] = [taken, word, every, of];
  listen();
  at("chooser").showModal();
  return folder("");
}

function listen() {
  if (began) return;
  began = true;
  at("chooser-close").onclick = () => at("chooser").close();
  at("upload").onchange = async () => {
    const file = at("upload").files[0], bar = at("upload-progress");
    if (!file) return;
    bar.hidden = false;
    await tried(async () => end(await send(file, share => { bar.value = share; })));
    bar.hidden = true;
    at("upload").value = "";
  };
}

async function tried(work) {
  at("chooser-fault").textContent = "";
  try { await work(); } catch (error) { at("chooser-fault").textContent = error.message; }
}

async function end(place) { at("chooser").close(); try { await take(place); } catch { /* the view says it */ } }

async function folder(place, every = false) {
  at("chooser-place").textContent = place || "Folders of this studio";
  at("chooser-list").replaceChildren(row("Loading …", null));
  await tried(async () => {
    const {entries} = await json(query("/api/files", {place}));
    const shown = entries.filter(entry => every || entry.folder || entry.kind === kind);
    const rows = shown.map(entry => row((entry.folder ? "▸ " : "") + entry.name + (entry.folder ? "/" : `  ${size(entry.bytes)}`),
      () => entry.folder ? folder(entry.place) : tried(() => end(entry.place))));
    if (place) rows.unshift(row("◂ back", () => folder(above(place))));
    if (shown.length < entries.length) rows.push(row(`Show ${entries.length - shown.length} other files`, () => folder(place, true)));
    if (place && folders && (all || entries.some(x => /^(best|last)\.safetensors$/.test(x.name)))) rows.unshift(row(folders, () => tried(() => end(all ? `${place}/*` : place))));
    else if (kind === "clip" && entries.some(x => /\.(jpe?g|png)$/i.test(x.name))) rows.unshift(row("Open this folder as frames", () => tried(() => end(place))));
    at("chooser-list").replaceChildren(...(rows.length ? rows : [row("Nothing here", null)]));
    at("chooser-list").querySelector("button")?.focus();
  });
}

function above(place) {
  const [root, below] = [place.slice(0, place.indexOf(":")), place.slice(place.indexOf(":") + 1)];
  if (!below || below === ".") return "";
  return `${root}:${below.includes("/") ? below.slice(0, below.lastIndexOf("/")) : ""}`;
}

function row(text, action) {
  const item = document.createElement("li");
  if (!action) { item.textContent = text; return item; }
  const button = Object.assign(document.createElement("button"), {type: "button", textContent: text});
  button.onclick = action;
  item.append(button);
  return item;
}

const size = bytes => bytes > 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.ceil(bytes / 1e3)} kB`;
