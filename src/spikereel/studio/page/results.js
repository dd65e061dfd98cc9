// What has been computed of a source: a value for each step of each window, kept as numbers by the page.
export class Results {
  constructor(about) { this.about = about; this.windows = new Map(); this.version = 0; this.sorted = null; }
  add(window) { this.windows.set(window.number, window); this.version++; this.sorted = null; }
  get list() { return this.sorted ??= [...this.windows.values()].sort((a, b) => a.first - b.first); }

  // The window and the step that a frame shows; null where nothing is computed.
  at(frame) {
    const list = this.list;
    let low = 0, high = list.length;
    while (low < high) { const middle = (low + high) >> 1; list[middle].first <= frame ? low = middle + 1 : high = middle; }
    const window = list[low - 1];
    if (!window || frame >= window.stop) return null;
    let step = 0;
    while (step + 1 < window.frames.length && window.frames[step + 1] <= frame) step++;
    return {window, step};
  }

  // Calls take(first frame, frame behind, value) for each step that has one between two frames.
  each(first, stop, of, take) {
    for (const window of this.list) {
      if (window.stop <= first || window.first >= stop) continue;
      const count = window.frames.length;
      for (let step = 0; step < count; step++) {
        const value = of(window, step);
        if (value === null || value === undefined) continue;
        const from = step ? window.frames[step] : window.first;
        const to = step + 1 < count ? window.frames[step + 1] : window.stop;
        if (to > from) take(from, to, value);
      }
    }
  }
}

// The answer that holds at a step: the last one given, and before the first one the first.
export function answerAt(window, step) {
  if (!window.probabilities?.length) return null;
  let row = 0;
  while (row + 1 < window.answered.length && window.answered[row + 1] <= step) row++;
  return window.probabilities[row];
}

export function mean(values) { return values.reduce((sum, x) => sum + x, 0) / Math.max(values.length, 1); }
