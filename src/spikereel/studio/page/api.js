// Requests to the server that this page came from, and to no other.
export class Fault extends Error {}

export async function ask(path, {method = "GET", body, signal} = {}) {
  let answer;
  try {
    answer = await fetch(path, {method, signal, headers: method === "GET" ? {} : {"X-Spikereel": "1"},
      body: body === undefined ? undefined : JSON.stringify(body)});
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Fault("the server does not answer; is it still running?");
  }
  if (!answer.ok) throw new Fault(await reason(answer));
  return answer;
}

async function reason(answer) {
  const text = await answer.text();
  try { return JSON.parse(text).error; } catch { return text.replace(/^error: /, "").trim() || answer.statusText; }
}

export const json = async (path, options) => (await ask(path, options)).json();
export const post = (path, body) => json(path, {method: "POST", body});

export function query(path, values) {
  const kept = Object.entries(values).filter(([, value]) => value !== undefined && value !== null);
  return path + "?" + new URLSearchParams(kept.map(([name, value]) => [name, String(value)]));
}

// A file as it is; `seen` is called with the share that is sent.
export function send(file, seen) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open("POST", query("/api/uploads", {name: file.name}));
    request.setRequestHeader("X-Spikereel", "1");
    request.upload.onprogress = event => seen(event.total ? event.loaded / event.total : 0);
    request.onload = () => {
      let said = {};
      try { said = JSON.parse(request.responseText); } catch { said = {error: request.responseText}; }
      if (request.status === 200) done(said.place); else failed(new Fault(said.error || request.statusText));
    };
    request.onerror = () => failed(new Fault("the file could not be sent; it may be too large for this server"));
    request.send(file);
  });
}
