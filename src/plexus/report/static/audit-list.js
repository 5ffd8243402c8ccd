// The list of pairs: only rows in sight are elements, so that thousands of pairs are as light as twenty. A name is
// never cut short: rows are as high as theirs need.
const ROW = 46;
const LINE = 16;
const SPARE = 6;
const MARKS = { keep: "\u2713", drop: "\u2715", unsure: "?" };
let tops = [0]; // of each row, and the end of the last

function measureList() {
  const columns = columnsOf(byId("rows"), byId("list").clientWidth - 24);
  tops = [0];
  for (const i of state.shown) tops.push(tops.at(-1) + ROW + LINE * (linesOf(namesOf(pairs[i]), columns) - 1));
}

// The last row that begins at or above a height.
function rowAt(height) {
  let [low, high] = [0, Math.max(0, tops.length - 2)];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (tops[middle] <= height) low = middle;
    else high = middle - 1;
  }
  return low;
}

const markOf = (word) => (word?.startsWith(RELABEL) ? `\u2192${word.slice(RELABEL.length)}` : MARKS[word] ?? "\u00b7");
const classOf = (word) => (word?.startsWith(RELABEL) ? "relabel" : word ?? "none");

function rowOf(place) {
  const pair = pairs[state.shown[place]];
  const badges = named(pair).map(([kind, text]) => make("span", { class: `badge ${kind}` }, text));
  const marks = endsOf(pair).map((end) => decisions.get(side(pair, end).name)).map((word) => make("i", { class: classOf(word) }, markOf(word)));
  const row = make(
    "div",
    { class: "row", role: "option", id: `pair-${place}`, "aria-selected": place === state.at, "aria-posinset": place + 1, "aria-setsize": state.shown.length },
    make("span", { class: "top" }, ...badges, pair.suspect ? "" : make("span", { class: "far" }, decimal(pair.distance, 4)), make("span", { class: "marks" }, ...marks)),
    make("span", { class: "names" }, namesOf(pair)),
  );
  row.style.transform = `translateY(${tops[place]}px)`;
  row.style.height = `${tops[place + 1] - tops[place]}px`;
  row.addEventListener("click", () => go(place));
  return row;
}

function paintList() {
  const list = byId("list");
  const rows = byId("rows");
  if (state.sheet) return paintSheet();
  rows.style.height = `${tops.at(-1)}px`;
  const first = Math.max(0, rowAt(list.scrollTop) - SPARE);
  const last = Math.min(state.shown.length, rowAt(list.scrollTop + list.clientHeight) + 1 + SPARE);
  const made = [];
  for (let place = first; place < last; place += 1) made.push(rowOf(place));
  rows.replaceChildren(...made);
  const active = `pair-${state.at}`;
  if (byId(active)) list.setAttribute("aria-activedescendant", active);
  else list.removeAttribute("aria-activedescendant");
  return undefined;
}

function reveal() {
  const [list, ends] = state.sheet ? [byId("sheet"), rowOfCell(state.at)] : [byId("list"), [tops[state.at], tops[state.at + 1]]];
  if (ends[0] < list.scrollTop) list.scrollTop = ends[0];
  else if (ends[1] > list.scrollTop + list.clientHeight) list.scrollTop = ends[1] - list.clientHeight;
}

function go(place) {
  if (!state.shown.length) return;
  state.at = Math.max(0, Math.min(state.shown.length - 1, place));
  state.front = "a";
  reveal();
  paintList();
  if (!state.sheet) paintStage();
}

function refilter() {
  const before = state.shown[state.at];
  const value = (id) => byId(id).value;
  state.shown = choose({ kind: value("kind"), decided: value("decided"), evidence: value("evidence"), order: value("order"), query: value("query") }, isDecided);
  state.at = Math.max(0, state.shown.indexOf(before));
  const all = suspected && state.shown.length < pairs.length ? `${whole(pairs.length)} pairs and labels` : counted(pairs.length, suspected);
  byId("shown").textContent = state.shown.length === pairs.length ? all : `${whole(state.shown.length)} of ${all}`;
  remeasure();
}

// Heights follow the width of the window and what is shown.
function remeasure() {
  if (state.sheet) measureSheet();
  else measureList();
  reveal();
  paintList();
  if (!state.sheet) paintStage();
}

// Moves of the list's own: the arrows and the jumps that a list is expected to know.
function listKeys(event) {
  const page = Math.max(1, Math.floor(byId("list").clientHeight / ROW) - 1);
  const moves = { ArrowDown: state.at + 1, ArrowUp: state.at - 1, PageDown: state.at + page, PageUp: state.at - page, Home: 0, End: state.shown.length - 1 };
  if (!(event.key in moves) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  go(moves[event.key]);
}
