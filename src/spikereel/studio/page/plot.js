// The frame of a panel: title, controls, plot with a cursor, legend, and how it is drawn, on a canvas or into SVG.
import {clamp, clock, seconds, seek, stop} from "./clock.js";
import {colours, OnCanvas, ticks} from "./draw.js";
import {state} from "./state.js";

export const LEFT = 46, BELOW = 18;

export function range() {
  const all = clock.source?.frames ?? 1;
  const first = Math.max(state.first ?? 0, 0), end = Math.min(state.stop ?? all, all);
  return end > first ? [first, end] : [0, all];
}

export class Panel {
  // paint(surface, box, theme): what is between the axes; box has x(frame), width, height, first, stop
  constructor({id, title, height = 120, paint, label, table}) {
    Object.assign(this, {id, title, height, paint, label, table, dirty: true});
    this.root = Object.assign(document.createElement("section"), {className: "panel", id: `panel-${id}`});
    this.root.setAttribute("aria-label", title);
    this.root.innerHTML = `<div class="head"><h2></h2></div><div class="plot"><canvas role="img"></canvas><div class="cursor" hidden></div></div><ul class="legend"></ul><p class="said"></p>`;
    this.root.querySelector("h2").textContent = title;
    this.head = this.root.querySelector(".head");
    this.canvas = this.root.querySelector("canvas");
    this.cursor = this.root.querySelector(".cursor");
    this.legend = this.root.querySelector(".legend");
    this.said = this.root.querySelector(".said");
    this.plot = this.root.querySelector(".plot");
    this.plot.addEventListener("pointerdown", event => this.point(event));
    this.plot.addEventListener("pointermove", event => { if (event.buttons & 1) this.point(event); });
  }
  point(event) {
    const box = this.canvas.getBoundingClientRect(), [first, end] = range();
    const share = (event.clientX - box.left - LEFT) / Math.max(box.width - LEFT, 1);
    stop();
    seek(clamp(Math.min(Math.max(Math.floor(first + share * (end - first)), first), end - 1)));
  }
  say(text, failed = false) { this.said.textContent = text; this.said.classList.toggle("failed", failed); }

  draw() {
    const width = this.plot.clientWidth;
    if (!width) return;
    this.onto(new OnCanvas(this.canvas, width, this.height), width, colours());
    this.canvas.setAttribute("aria-label", `${this.title}: ${this.label?.() ?? ""}`);
    this.dirty = false;
    this.move();
  }
  onto(surface, width, theme) {
    const [first, end] = range();
    const box = {left: LEFT, width: width - LEFT, height: this.height - BELOW, first, stop: end,
      x: frame => LEFT + (frame - first) / (end - first) * (width - LEFT)};
    surface.rect(0, 0, width, this.height, theme.back);
    for (const frame of marks(first, end, Math.max(box.width / 110, 1))) {
      if (frame < first || frame > end) continue;
      surface.path([box.x(frame), 0, box.x(frame), box.height], theme.grid);
      const at = clock.source ? seconds(Math.min(frame, clock.source.frames - 1)) : null;
      const near = box.x(frame) > width - 40 ? "right" : "center";
      surface.text(at === null ? `${frame}` : `${Number(at.toFixed(2))} s`, box.x(frame), this.height - 5, theme.faint, {align: near});
    }
    this.paint(surface, box, theme);
  }
  // With the clock in it, for files.
  whole(surface, width, theme) {
    this.onto(surface, width, theme);
    const [first, end] = range();
    if (state.frame < first || state.frame >= end) return;
    const x = LEFT + (state.frame + .5 - first) / (end - first) * (width - LEFT);
    surface.path([x, 0, x, this.height - BELOW], theme.ink, 2);
  }
  move() {
    const [first, end] = range(), width = this.plot.clientWidth;
    const inside = state.frame >= first && state.frame < end;
    this.cursor.hidden = !inside;
    if (inside) this.cursor.style.transform = `translateX(${LEFT + (state.frame + .5 - first) / (end - first) * (width - LEFT)}px)`;
  }
}

// Frames that times are written at: round seconds of a constant rate, else round numbers.
function marks(first, end, most) {
  const {fps} = clock.source ?? {};
  if (!fps || clock.times) return ticks(first, end, most).map(Math.round);
  return ticks(first / fps, end / fps, most).map(seconds => Math.round(seconds * fps));
}

// Axis of values between two numbers.
export function scale(surface, box, theme, low, high, format) {
  const y = value => box.height - (value - low) / (high - low || 1) * (box.height - 6);
  for (const value of ticks(low, high, Math.max(box.height / 32, 2))) {
    surface.path([box.left, y(value), box.left + box.width, y(value)], theme.grid);
    surface.text(format(value), box.left - 5, y(value) + 4, theme.faint, {align: "right", size: 10});
  }
  return y;
}

// Points of a line that holds each value until the next; of many in a pixel the lowest and the highest.
export function stairs(results, box, of, y) {
  const points = [];
  let pixel = -1, low = 0, high = 0, lastStop = -1;
  const flush = () => { if (pixel >= 0 && low !== high) points.push(pixel + .5, y(low), pixel + .5, y(high)); };
  results.each(box.first, box.stop, of, (from, to, value) => {
    const a = box.x(Math.max(from, box.first)), b = box.x(Math.min(to, box.stop));
    if (from > lastStop && lastStop >= 0) { flush(); pixel = -1; points.push(a, NaN); }
    lastStop = to;
    if (b - a >= 1) { flush(); pixel = -1; points.push(a, y(value), b, y(value)); return; }
    const own = Math.floor(a);
    if (own !== pixel) { flush(); pixel = own; low = high = value; points.push(a, y(value)); }
    else { low = Math.min(low, value); high = Math.max(high, value); }
  });
  flush();
  return points;
}

export function swatch(colour, shape) {
  return `<svg width="26" height="8" aria-hidden="true"><path d="M0 4H26" stroke="${colour}" stroke-width="2.5" stroke-dasharray="${shape.join(" ")}"/></svg>`;
}
