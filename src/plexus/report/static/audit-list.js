// The list of pairs: only rows in sight are elements, so that thousands of pairs are as light as twenty.
const ROW = 46;
const SPARE = 6;
const MARKS = { keep: "\u2713", drop: "\u2715", unsure: "?" };

function rowOf(place) {
  const pair = pairs[state.shown[place]];
  const badges = named(pair).map(([kind, text]) => make("span", { class: `badge ${kind}` }, text));
  const marks = ENDS.map((end) => decisions.get(side(pair, end).name)).map((word) => make("i", { class: word ?? "none" }, MARKS[word] ?? "\u00b7"));
  const row = make(
    "div",
    { class: "row", role: "option", id: `pair-${place}`, "aria-selected": place === state.at, "aria-posinset": place + 1, "aria-setsize": state.shown.length },
    make("span", { class: "top" }, ...badges, make("span", { class: "far" }, decimal(pair.distance, 4)), make("span", { class: "marks" }, ...marks)),
    make("span", { class: "names" }, `${side(pair, "a").name} \u2194 ${side(pair, "b").name}`),
  );
  row.style.transform = `translateY(${place * ROW}px)`;
  row.addEventListener("click", () => go(place));
  return row;
}

function paintList() {
  const list = byId("list");
  const rows = byId("rows");
  rows.style.height = `${state.shown.length * ROW}px`;
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - SPARE);
  const last = Math.min(state.shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + SPARE);
  const made = [];
  for (let place = first; place < last; place += 1) made.push(rowOf(place));
  rows.replaceChildren(...made);
  const active = `pair-${state.at}`;
  if (byId(active)) list.setAttribute("aria-activedescendant", active);
  else list.removeAttribute("aria-activedescendant");
}

function reveal() {
  const list = byId("list");
  const top = state.at * ROW;
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
}

function go(place) {
  if (!state.shown.length) return;
  state.at = Math.max(0, Math.min(state.shown.length - 1, place));
  state.front = "a";
  reveal();
  paintList();
  paintStage();
}

function refilter() {
  const before = state.shown[state.at];
  const value = (id) => byId(id).value;
  state.shown = choose({ kind: value("kind"), decided: value("decided"), order: value("order"), query: value("query") }, isDecided);
  state.at = Math.max(0, state.shown.indexOf(before));
  byId("shown").textContent = state.shown.length === pairs.length ? plural(pairs.length, "pair") : `${whole(state.shown.length)} of ${plural(pairs.length, "pair")}`;
  reveal();
  paintList();
  paintStage();
}

// Moves of the list's own: the arrows and the jumps that a list is expected to know.
function listKeys(event) {
  const page = Math.max(1, Math.floor(byId("list").clientHeight / ROW) - 1);
  const moves = { ArrowDown: state.at + 1, ArrowUp: state.at - 1, PageDown: state.at + page, PageUp: state.at - page, Home: 0, End: state.shown.length - 1 };
  if (!(event.key in moves) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  go(moves[event.key]);
}
