// One way to draw on a canvas and into SVG, so that a panel is the same in both.
const SHAPES = {0: [], 1: [7, 3], 2: [2, 3], 3: [9, 3, 2, 3], 4: [4, 4], 5: [1, 4]};
export const dash = number => SHAPES[number % 6];

export function colours(element = document.documentElement) {
  const style = getComputedStyle(element), of = name => style.getPropertyValue(name).trim();
  return {back: of("--panel"), ink: of("--ink"), faint: of("--faint"), grid: of("--grid"), unknown: of("--unknown"),
    series: [0, 1, 2, 3, 4, 5].map(i => of(`--s${i}`)), dark: matchMedia("(prefers-color-scheme: dark)").matches};
}

export class OnCanvas {
  constructor(canvas, width, height) {
    const ratio = Math.min(devicePixelRatio || 1, 2);
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = `${height}px`;
    this.pen = canvas.getContext("2d");
    this.pen.scale(ratio, ratio);
  }
  rect(x, y, w, h, fill) { this.pen.fillStyle = fill; this.pen.fillRect(x, y, w, h); }
  path(points, colour, width = 1, shape = []) {
    const pen = this.pen;
    pen.beginPath();
    let down = false;
    for (let i = 0; i < points.length; i += 2) {
      if (Number.isNaN(points[i + 1])) { down = false; continue; }
      if (down) pen.lineTo(points[i], points[i + 1]); else pen.moveTo(points[i], points[i + 1]);
      down = true;
    }
    pen.setLineDash(shape); pen.lineWidth = width; pen.strokeStyle = colour; pen.stroke();
  }
  text(text, x, y, colour, {align = "start", size = 11} = {}) {
    this.pen.font = `${size}px system-ui, sans-serif`; this.pen.textAlign = align;
    this.pen.fillStyle = colour; this.pen.fillText(text, x, y);
  }
  shift(x, y, work) { this.pen.save(); this.pen.translate(x, y); work(); this.pen.restore(); }
  image(source, x, y, w, h) { this.pen.imageSmoothingEnabled = false; this.pen.drawImage(source, x, y, w, h); }
}

export const safe = text => String(text).replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`);
const round = value => Math.round(value * 100) / 100;

export class OnSvg {
  constructor(width, height) { this.width = width; this.height = height; this.parts = []; }
  rect(x, y, w, h, fill) { this.parts.push(`<rect x="${round(x)}" y="${round(y)}" width="${round(w)}" height="${round(h)}" fill="${fill}"/>`); }
  path(points, colour, width = 1, shape = []) {
    let text = "", down = false;
    for (let i = 0; i < points.length; i += 2) {
      if (Number.isNaN(points[i + 1])) { down = false; continue; }
      text += `${down ? "L" : "M"}${round(points[i])} ${round(points[i + 1])}`;
      down = true;
    }
    const dashes = shape.length ? ` stroke-dasharray="${shape.join(" ")}"` : "";
    this.parts.push(`<path d="${text}" fill="none" stroke="${colour}" stroke-width="${width}"${dashes}/>`);
  }
  text(text, x, y, colour, {align = "start", size = 11} = {}) {
    const anchor = {start: "start", left: "start", center: "middle", right: "end", end: "end"}[align];
    this.parts.push(`<text x="${round(x)}" y="${round(y)}" fill="${colour}" font-size="${size}" text-anchor="${anchor}" font-family="sans-serif">${safe(text)}</text>`);
  }
  shift(x, y, work) { this.parts.push(`<g transform="translate(${x} ${y})">`); work(); this.parts.push("</g>"); }
  image(source, x, y, w, h) {
    this.parts.push(`<image x="${x}" y="${y}" width="${w}" height="${h}" preserveAspectRatio="none" style="image-rendering:pixelated" href="${source.toDataURL("image/png")}"/>`);
  }
  done() {
    return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${this.width} ${this.height}" width="${this.width}" height="${this.height}">${this.parts.join("")}</svg>`;
  }
}

// Round numbers between two values, at most so many.
export function ticks(low, high, most) {
  const raw = (high - low) / Math.max(most, 1), power = 10 ** Math.floor(Math.log10(raw || 1));
  const gap = [1, 2, 5, 10].map(x => x * power).find(x => x >= raw) || power;
  const found = [];
  for (let value = Math.ceil(low / gap) * gap; value <= high + gap * 1e-9; value += gap) found.push(Math.abs(value) < gap * 1e-9 ? 0 : value);
  return found;
}

export const short = value => value === 0 ? "0" : Math.abs(value) >= 1e5 || Math.abs(value) < 1e-3 ? value.toExponential(1) : String(Number(value.toPrecision(3)));
