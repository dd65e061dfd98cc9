// Any view as a file: a panel as PNG, SVG or CSV, all of them as one HTML file that needs nothing else.
import {colours, OnCanvas, OnSvg, safe} from "./draw.js";
import {address} from "./state.js";

const HEAD = 24, FOOT = 20;

export function save(name, content, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], {type}));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const width = panel => Math.max(panel.plot.clientWidth, 640);

function compose(panel, surface, wide) {
  const theme = colours();
  surface.rect(0, 0, wide, panel.height + HEAD + FOOT, theme.back);
  surface.text(panel.title, 8, 16, theme.ink, {size: 13});
  surface.text(panel.label?.() ?? "", 46 + 9 * panel.title.length, 16, theme.faint, {size: 11});
  surface.shift(0, HEAD, () => panel.whole(surface, wide, theme));
  let x = 46;
  for (const item of panel.legend.children) {
    const line = item.querySelector("path");
    if (line) surface.path([x, panel.height + HEAD + 9, x + 20, panel.height + HEAD + 9], line.getAttribute("stroke"), 2, (line.getAttribute("stroke-dasharray") ?? "").split(" ").filter(Boolean).map(Number));
    surface.text(item.textContent.trim(), x + 24, panel.height + HEAD + 13, theme.ink);
    x += 44 + 6.2 * item.textContent.length;
  }
}

export function svgOf(panel) {
  const wide = width(panel), surface = new OnSvg(wide, panel.height + HEAD + FOOT);
  compose(panel, surface, wide);
  return surface.done();
}

function pngOf(panel) {
  const wide = width(panel), canvas = document.createElement("canvas");
  compose(panel, new OnCanvas(canvas, wide, panel.height + HEAD + FOOT), wide);
  return new Promise(done => canvas.toBlob(done, "image/png"));
}

// Cells that a spreadsheet would take for a formula get a mark before them.
const cell = value => { const text = String(value ?? ""); const plain = typeof value !== "number" && /^[=+@\t\r-]/.test(text) ? `'${text}` : text; return /[",\n\r]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain; };
export const csvOf = rows => rows.map(row => row.map(cell).join(",")).join("\n") + "\n";

export function buttons(panel, name) {
  const group = document.createElement("span");
  group.className = "files";
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", `Save ${panel.title}`);
  const make = (text, action) => {
    const button = Object.assign(document.createElement("button"), {type: "button", textContent: text});
    button.setAttribute("aria-label", `${panel.title} as ${text}`);
    button.onclick = action;
    group.append(button);
  };
  const file = ending => `${name()}-${panel.id}.${ending}`;
  make("PNG", async () => save(file("png"), await pngOf(panel)));
  make("SVG", () => save(file("svg"), svgOf(panel), "image/svg+xml"));
  if (panel.table) make("CSV", () => save(file("csv"), csvOf(panel.table()), "text/csv"));
  panel.head.append(group);
}

const STYLE = `:root{color-scheme:light dark}body{font:15px/1.45 system-ui,sans-serif;margin:1rem auto;max-width:72rem;padding:0 1rem}svg,img{max-width:100%;height:auto}table{border-collapse:collapse}td,th{text-align:left;padding:.15rem .6rem;border-bottom:1px solid #8888}figure{margin:0 0 1rem}`;

// parts: {title, svg} | {title, image} | {title, rows}; facts: [[name, value]]
export function pageOf(title, facts, parts) {
  const table = rows => `<table>${rows.map(row => `<tr>${row.map((x, i) => i ? `<td>${safe(x)}</td>` : `<th scope="row">${safe(x)}</th>`).join("")}</tr>`).join("")}</table>`;
  const body = parts.map(part => `<section><h2>${safe(part.title)}</h2>` + (part.svg ? `<figure>${part.svg}</figure>` : part.image ? `<figure><img alt="${safe(part.alt ?? part.title)}" src="${part.image}"></figure>` : table(part.rows)) + "</section>").join("\n");
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${safe(title)}</title><style>${STYLE}</style></head><body><main><h1>${safe(title)}</h1>
${table(facts)}
${body}
<p>View: <code>${safe(address())}</code>, made by Spikereel studio.</p></main></body></html>
`;
}

export async function copyLink() {
  const link = location.origin + location.pathname + address();
  history.replaceState(null, "", address());
  try { await navigator.clipboard.writeText(link); return "The link is copied; it carries the whole view."; }
  catch { return `The link: ${link}`; }
}
