// The page: views, and the state that stands in the address.
import {listen, read, restore, set, state} from "./state.js";
import * as compare from "./compare.js";
import * as runs from "./runs.js";
import {note, open, setUp} from "./watch.js";

const views = ["watch", "compare", "runs"].map(id => document.getElementById(id));

function show() {
  if (!views.some(view => view.id === state.view)) set({view: "watch"});
  for (const view of views) view.hidden = view.id !== state.view;
  for (const button of document.querySelectorAll("nav button")) {
    if (button.dataset.view === state.view) button.setAttribute("aria-current", "page"); else button.removeAttribute("aria-current");
  }
}

for (const button of document.querySelectorAll("nav button")) button.onclick = () => set({view: button.dataset.view});
setUp();
listen(names => { if (names.has("view")) show(); });
addEventListener("hashchange", restore);
const given = read();
Object.assign(state, given, given.view === "watch" ? {place: undefined} : {});
document.getElementById("weights").value = state.weights ?? "";
document.getElementById("every").value = state.every ?? "";
compare.setUp();
runs.setUp();
show();
if (given.place && state.view === "watch") {
  state.place = given.place;
  open(given.place).catch(error => note(error.message, true));
}
document.documentElement.dataset.ready = "yes";
