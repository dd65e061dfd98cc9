// Curves over training steps, drawn alike on a canvas and into SVG.
import {colours, dash, OnCanvas, short, ticks} from "./draw.js";

const LEFT = 52, BELOW = 18, HEIGHT = 130;

// A panel as share.js wants it: one tag, a line for each run.
export class Curve {
  constructor(tag, lines) {
    Object.assign(this, {id: tag.replace(/\W+/g, "-"), title: tag, height: HEIGHT, lines});
    this.root = Object.assign(document.createElement("section"), {className: "panel"});
    this.root.setAttribute("aria-label", tag);
    this.root.innerHTML = `<div class="head"><h3></h3></div><div class="plot"><canvas role="img"></canvas></div><ul class="legend"></ul>`;
    this.root.querySelector("h3").textContent = tag;
    [this.head, this.canvas, this.plot, this.legend] = ["head", "plot canvas", "plot", "legend"].map(x => this.root.querySelector(`.${x}`));
  }
  label() { const last = this.lines[0].points.at(-1); return last ? `${this.lines[0].points.length} points, ${short(last[1])} at step ${last[0]}` : "no points"; }
  draw() {
    const wide = this.plot.clientWidth;
    if (!wide) return;
    this.whole(new OnCanvas(this.canvas, wide, HEIGHT), wide, colours());
    this.canvas.setAttribute("aria-label", `${this.title}: ${this.label()}`);
  }
  whole(surface, wide, theme) {
    const all = this.lines.flatMap(line => line.points).filter(point => point.every(Number.isFinite));
    const of = i => all.map(point => point[i]);
    let [x0, x1, y0, y1] = all.length ? [Math.min(...of(0)), Math.max(...of(0)), Math.min(...of(1)), Math.max(...of(1))] : [0, 1, 0, 1];
    if (x0 === x1) { x0 -= .5; x1 += .5; }
    if (y0 === y1) { y0 -= Math.abs(y0) * .1 || .5; y1 += Math.abs(y1) * .1 || .5; }
    const x = value => LEFT + (value - x0) / (x1 - x0) * (wide - LEFT - 8), y = value => 5 + (y1 - value) / (y1 - y0) * (HEIGHT - BELOW - 10);
    surface.rect(0, 0, wide, HEIGHT, theme.back);
    for (const value of ticks(y0, y1, 4)) { surface.path([LEFT, y(value), wide - 8, y(value)], theme.grid); surface.text(short(value), LEFT - 5, y(value) + 4, theme.faint, {align: "right", size: 10}); }
    for (const value of ticks(x0, x1, Math.max((wide - LEFT) / 90, 1))) surface.text(String(value), x(value), HEIGHT - 5, theme.faint, {align: "center", size: 10});
    this.lines.forEach((line, i) => {
      const points = line.points.flatMap(([a, b]) => [x(a), Number.isFinite(b) ? y(b) : NaN]);
      surface.path(points, theme.series[i % 6], 2, dash(i));
      if (points.length <= 40) for (let k = 0; k < points.length; k += 2) if (!Number.isNaN(points[k + 1])) surface.rect(points[k] - 2, points[k + 1] - 2, 4, 4, theme.series[i % 6]);
    });
  }
  table() { return [["run", "step", this.title], ...this.lines.flatMap(line => line.points.map(point => [line.name, ...point]))]; }
}
