// Runs a file of `spikereel export --to onnx` by onnxruntime-web: a call is `steps` frames, states go round.
import * as ort from "./ort.wasm.min.mjs";

const ARRAYS = {float32: Float32Array, float64: Float64Array, int32: Int32Array, int64: BigInt64Array};

export class Network {
  // bytes: Uint8Array of the file. Throws an Error for a file that carries no contract.
  static async open(bytes) {
    const contract = contractOf(bytes);
    return new Network(contract, await ort.InferenceSession.create(bytes));
  }

  constructor(contract, session) {
    this.contract = contract;
    this.session = session;
    this.reset();
  }

  // Back to before the first frame.
  reset() {
    this.states = this.contract.whole ? [] : this.contract.parts.map(({dtype, shape, start}) => {
      const count = shape.reduce((a, b) => a * b, 1) / (shape[0] ?? 1);  // of one clip, whatever the example had
      const value = dtype === "int64" ? BigInt(start) : start;
      return new ort.Tensor(dtype, new ARRAYS[dtype](count).fill(value), shape.length ? [1, ...shape.slice(1)] : []);
    });
  }

  // frames: as many as the steps of a call, each Float32Array [C, H, W]. Gives the first output: logits of all frames
  // since the reset.
  async step(frames) {
    const {steps, channels, size, parts, fields, whole} = this.contract;
    if (frames.length !== steps) throw new Error(`a call takes ${steps} frame(s), got ${frames.length}`);
    const video = new Float32Array(steps * channels * size[0] * size[1]);
    frames.forEach((frame, t) => video.set(frame, t * frame.length));
    const feeds = {video: new ort.Tensor("float32", video, [steps, 1, channels, ...size])};
    this.states.forEach((state, i) => feeds[`before.${parts[i].name}`] = state);
    const wanted = new Set(this.session.inputNames);  // what the network does not look at is no input
    const found = await this.session.run(Object.fromEntries(Object.entries(feeds).filter(([name]) => wanted.has(name))));
    if (!whole) this.states = parts.map(part => found[`after.${part.name}`]);
    return found[fields[0]].data;
  }
}

// The contract inside an ONNX file: entry "spikereel" of its metadata_props, field 14 of the protobuf message.
export function contractOf(bytes) {
  for (const {number, value} of messageFields(bytes)) {
    if (number !== 14) continue;
    const [key, text] = [...messageFields(value)].map(entry => new TextDecoder().decode(entry.value));
    if (key === "spikereel") return JSON.parse(text);
  }
  throw new Error("this file says nothing of its states; write it with spikereel export");
}

function* messageFields(bytes) {
  let at = 0;
  const varint = () => {
    for (let value = 0, factor = 1; at < bytes.length; factor *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
    throw new Error("this is no whole ONNX file");
  };
  while (at < bytes.length) {
    const tag = varint(), kind = tag & 7;
    if (![0, 1, 2, 5].includes(kind)) throw new Error("this is no whole ONNX file");
    const length = {0: 0, 1: 8, 5: 4}[kind] ?? varint();
    if (kind === 0) varint();
    yield {number: Math.floor(tag / 8), value: bytes.subarray(at, at + length)};
    at += length;
  }
}

// Why the page cannot make this network's frames of a video, or nothing.
export function obstacle({task, size, channels, preprocess: p}) {
  if (task !== "classification") return `this page shows classes, the network is for ${task}`;
  if (!p.size) return "the weights did not say how clips are made";
  if (size[0] !== p.size || size[1] !== p.size) return `frames are made ${p.size} x ${p.size}, the file takes ${size}`;
  if (p.modality !== "rgb" || p.simulate || p.trails || channels !== 3 || !p.mean.length)
    return `this page makes plain colour frames; the network sees ${p.simulate ? "events" : p.modality}`;
}

// Numbers of the frames of the clip in the middle of a video, as `spikereel predict` takes them.
export function clipIndices(total, {frames, stride}) {
  const span = stride ? stride * frames : total, first = stride ? Math.floor(Math.max(total - span, 0) / 2) : 0;
  const step = frames > 1 ? (span - 1) / (frames - 1) : 0;
  return Array.from({length: frames}, (_, i) => Math.floor(Math.min(first + i * step + 1e-6, total - 1)));
}

// ImageData -> Float32Array [3, size, size]: short side to size, centre, normalised; the arithmetic of the library.
export function prepared(image, {size, mean, std, antialias, whole}) {
  const {width, height, data} = image, short = Math.min(width, height);
  const rows = resizing(height, whole ? size : Math.floor(height * size / short), size, antialias);
  const columns = resizing(width, whole ? size : Math.floor(width * size / short), size, antialias);
  const out = new Float32Array(3 * size * size), round = antialias ? Math.round : x => x;
  for (let c = 0; c < 3; c++) {
    const narrow = new Float32Array(height * size);
    for (let y = 0; y < height; y++)
      columns.forEach(({first, weights}, x) => {
        narrow[y * size + x] = round(weights.reduce((sum, w, i) => sum + w * data[4 * (y * width + first + i) + c], 0));
      });
    const m = mean[c] ?? mean[0], s = std[c] ?? std[0];
    rows.forEach(({first, weights}, y) => {
      for (let x = 0; x < size; x++) {
        const value = round(weights.reduce((sum, w, i) => sum + w * narrow[(first + i) * size + x], 0));
        out[(c * size + y) * size + x] = (value / 255 - m) / s;
      }
    });
  }
  return out;
}

// For each of the `kept` central places of `to`: the first of `from` pixels, and weights of a triangle.
function resizing(from, to, kept, antialias) {
  const scale = from / to, reach = antialias ? Math.max(scale, 1) : 1, skipped = Math.ceil((to - kept) / 2);
  return Array.from({length: kept}, (_, i) => {
    const centre = scale * (i + skipped + 0.5);
    const first = Math.max(Math.floor(centre - reach + 0.5), 0);
    const last = Math.min(Math.floor(centre + reach + 0.5), from);
    const raw = Array.from({length: last - first}, (_, j) => Math.max(1 - Math.abs(first + j + 0.5 - centre) / reach, 0));
    const sum = raw.reduce((a, b) => a + b, 0);
    return {first, weights: raw.map(w => w / sum)};
  });
}

// Width and height of a video in its stored pixels, which the browser stretches where they are not square.
function storedSize(video) {
  const frame = new VideoFrame(video), {width, height} = frame.visibleRect, turned = (frame.rotation ?? 0) % 180 !== 0;
  frame.close();
  return turned ? [height, width] : [width, height];
}

// Ends when the frame of that second is the one that is shown, which on a busy machine is after "seeked". long: a frame, in
// seconds. A browser that does not tell, or had the frame already, gets half a second.
async function showing(video, second, long) {
  const seeked = new Promise(resolve => video.addEventListener("seeked", resolve, {once: true}));
  const shown = new Promise(resolve => {
    const look = (_, {mediaTime}) => Math.abs(mediaTime - second) <= long ? resolve() : ask();
    const ask = () => video.requestVideoFrameCallback?.(look);
    ask();
  });
  video.currentTime = second;
  await seeked;
  await Promise.race([shown, new Promise(resolve => setTimeout(resolve, 500))]);
}

// Frames of a video element, by number, each ImageData. fps: of the file, which a browser does not tell. aspect: whether
// the network sees pixels as they are stored or as they are shown.
export async function* videoFrames(video, indices, fps, {aspect}) {
  const canvas = document.createElement("canvas"), pen = canvas.getContext("2d", {willReadFrequently: true});
  let size;
  for (const index of indices) {
    await showing(video, (index + 0.5) / fps, 1 / fps);
    if (!size) {
      size = aspect === "shown" ? [video.videoWidth, video.videoHeight] : storedSize(video);
      [canvas.width, canvas.height] = size;
    }
    pen.drawImage(video, 0, 0, ...size);
    yield pen.getImageData(0, 0, ...size);
  }
}
