// Mouse and keyboard: what each button and each key does.
function nextUndecided() {
  const total = state.shown.length;
  for (let step = 1; step <= total; step += 1) {
    const place = (state.at + step) % total;
    if (!isDecided(pairs[state.shown[place]])) return go(place);
  }
  return tell("Every pair shown is decided.");
}

function flip(id) {
  byId(id).checked = !byId(id).checked;
  paintStage();
}

const ACTIONS = {
  j: () => go(state.at + 1), k: () => go(state.at - 1), ArrowRight: () => go(state.at + 1), ArrowLeft: () => go(state.at - 1),
  n: nextUndecided, s: () => setMode("side"), b: () => setMode("blink"), d: () => setMode("difference"), o: () => flip("outlines"),
  x: () => { if (state.mode === "blink") swap(); },
  c: () => setSheet(!state.sheet), r: () => relabel("a"), R: () => relabel("b"),
  "/": () => byId("query").focus(),
  "?": () => { byId("help").open = !byId("help").open; },
};
WORDS.forEach((word, i) => {
  ACTIONS[i + 1] = () => decide("a", word);
  ACTIONS[i + 4] = () => decide("b", word);
});

// Letters belong to whoever is typing, and to nobody where the reader has turned them off.
function keyed(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || !byId("keys").checked) return;
  if (event.target.closest?.("select, textarea, input:not([type=checkbox]):not([type=radio])")) return;
  if (event.key.startsWith("Arrow") && event.target.closest?.("input, .scroll, pre")) return;
  if (["Home", "End"].includes(event.key) && !event.target.closest?.("#sheet")) return;
  const onButton = event.key === "Enter" && event.target.closest?.("button, summary, a, label");
  const inSheet = state.sheet && !onButton ? sheetKey(event.key) : null;
  const alone = state.sheet && "sbdxoR".includes(event.key); // of the single view
  const action = inSheet ?? (!alone && Object.hasOwn(ACTIONS, event.key) ? ACTIONS[event.key] : null);
  if (!action) return;
  event.preventDefault();
  action();
}

function review() {
  if (!byId("reviewer")) return;
  recall();
  for (const id of ["reviewer", "saving"]) byId(id).hidden = false;
  const on = (id, type, act) => byId(id).addEventListener(type, act);
  for (const id of ["kind", "evidence", "decided", "order"]) on(id, "change", refilter);
  on("query", "input", refilter);
  on("query", "keydown", (event) => { if (event.key === "Escape") byId("list").focus(); });
  on("list", "scroll", paintList);
  on("list", "keydown", listKeys);
  on("before", "click", () => go(state.at - 1));
  on("after", "click", () => go(state.at + 1));
  on("undecided", "click", nextUndecided);
  on("mode", "change", (event) => setMode(event.target.value));
  on("outlines", "change", paintStage);
  on("match", "change", paintStage);
  on("auto", "change", setBlinking);
  on("swap", "click", swap);
  on("save", "click", () => save(false));
  on("save-table", "click", () => save(true));
  on("sheet-toggle", "click", () => setSheet(!state.sheet));
  on("sheet-back", "click", () => setSheet(false));
  on("sheet", "scroll", paintSheet);
  for (const button of byId("bulk").querySelectorAll("button")) button.addEventListener("click", () => decideShown(button.dataset.word));
  for (const end of ENDS) {
    byId(`relabel-${end}`).append(...classes.map((name) => make("option", { value: name }, name)));
    on(`relabel-${end}`, "change", (event) => {
      const pair = current();
      if (event.target.value) relabel(end, event.target.value);
      else if (pair) { decisions.delete(side(pair, end).name); changed(); }
    });
  }
  on("load", "change", (event) => { if (event.target.files[0]) load(event.target.files[0]); event.target.value = ""; });
  on("clear", "click", () => { if (confirm("Forget all decisions made here?")) { decisions.clear(); changed(); } });
  for (const button of document.querySelectorAll(".decide button")) button.addEventListener("click", () => decide(button.dataset.side, button.dataset.word));
  document.addEventListener("keydown", keyed);
  addEventListener("resize", remeasure);
  setMode(byId("mode").querySelector("input:checked").value);
  refilter();
  tell();
}

review();
