// The frames that the network saw, decoded by the server, never by a <video> element, which shows other colours.
import {ask} from "./api.js";
import {clock, stamp} from "./clock.js";

const KEPT = 48;

export class Picture {
  constructor(canvas) { this.canvas = canvas; this.kept = new Map(); this.loading = new Map(); this.shown = null; this.bytes = 0; }
  clear() { this.kept.clear(); this.loading.clear(); this.shown = null; }

  async frame(number, ahead = 0) {
    const known = this.kept.get(number);
    if (known) return known;
    if (!this.loading.has(number)) this.loading.set(number, this.load(number, ahead));
    return this.loading.get(number);
  }
  async load(number, ahead) {
    const source = clock.source, side = Math.min(Math.max(source.width, source.height), 640);
    try {
      const answer = await ask(`/api/sources/${source.id}/frames/${number}?side=${side}&ahead=${ahead}`);
      const bytes = new Uint8Array(await answer.arrayBuffer());
      const [width, height] = ["x-width", "x-height"].map(name => Number(answer.headers.get(name)));
      const image = new ImageData(width, height), words = new Uint32Array(image.data.buffer);
      for (let i = 0, j = 0; i < words.length; i++, j += 3) words[i] = 0xff000000 | bytes[j + 2] << 16 | bytes[j + 1] << 8 | bytes[j];
      if (source !== clock.source) return image;
      this.kept.set(number, image);
      while (this.kept.size > KEPT) this.kept.delete(this.kept.keys().next().value);
      return image;
    } finally { this.loading.delete(number); }
  }
  async show(number, ahead) {
    const image = await this.frame(number, ahead);
    if (this.wanted !== number) return false;
    if (this.canvas.width !== image.width || this.canvas.height !== image.height) {
      this.canvas.width = image.width;
      this.canvas.height = image.height;
    }
    this.canvas.getContext("2d").putImageData(image, 0, 0);
    this.canvas.dataset.frame = number;
    this.shown = number;
    this.canvas.setAttribute("aria-label", `Frame ${number} of ${clock.source.frames}, ${stamp(number)}`);
    return true;
  }
}
