// The contact sheet: many pairs at a glance, decided by one key each. Only rows in sight are elements.
const CELL = 232; // pixels across, at least
const PICTURE = 112;
let grid = { across: 1, tops: [0], columns: 30 };

function measureSheet() {
  const sheet = byId("sheet");
  const room = sheet.clientWidth - 16;
  const across = Math.max(1, Math.floor(room / CELL));
  const columns = columnsOf(byId("cells"), room / across - 26);
  const tops = [0];
  for (let first = 0; first < state.shown.length; first += across) {
    const lines = state.shown.slice(first, first + across).map((i) => captions(pairs[i]).reduce((sum, text) => sum + linesOf(text, columns), 0));
    tops.push(tops.at(-1) + PICTURE + 56 + 15 * Math.max(...lines));
  }
  grid = { across, tops, columns };
}

function captions(pair) {
  return pair.suspect ? [namesOf(pair)] : ENDS.map((end) => side(pair, end).name);
}

// Top and bottom of the row that an entry is in.
function rowOfCell(place) {
  const row = Math.floor(place / grid.across);
  return [grid.tops[row] ?? 0, grid.tops[row + 1] ?? 0];
}

function cellOf(place) {
  const pair = pairs[state.shown[place]];
  const shown = ENDS.map((end) => {
    const word = decisions.get(side(pair, end).name);
    const example = pair.suspect && end === "b";
    const [image, mask] = pictures[pair[end]] ?? [null, null];
    const inside = image ? [make("img", { class: grain(pair[end]), src: image, alt: "" }), ...(mask && byId("outlines").checked ? [make("img", { class: "outline", src: mask, alt: "" })] : [])] : [make("span", { class: "nopicture" }, "no picture")];
    return make("span", { class: `thumb ${example ? "example" : classOf(word)}` }, ...inside, ...(word && !example ? [make("b", { class: "mark" }, markOf(word))] : []));
  });
  const badges = named(pair).map(([kind, text]) => make("span", { class: `badge ${kind}` }, text));
  const node = make(
    "div",
    { class: "cell", role: "option", id: `cell-${place}`, "aria-selected": place === state.at, "aria-posinset": place + 1, "aria-setsize": state.shown.length, "aria-label": `${namesOf(pair)}${badges.length ? `, ${named(pair).map(([, text]) => text).join(", ")}` : ""}` },
    make("span", { class: "thumbs" }, ...shown),
    make("span", { class: "top" }, ...badges, pair.suspect ? "" : make("span", { class: "far" }, decimal(pair.distance, 4))),
    ...captions(pair).map((text) => make("span", { class: "names" }, text)),
  );
  const width = 100 / grid.across;
  const [top, bottom] = rowOfCell(place);
  node.style.cssText = `left: ${width * (place % grid.across)}%; width: ${width}%; top: ${top}px; height: ${bottom - top}px`;
  node.addEventListener("click", () => go(place));
  node.addEventListener("dblclick", () => { go(place); setSheet(false); });
  return node;
}

function paintSheet() {
  const sheet = byId("sheet");
  byId("cells").style.height = `${grid.tops.at(-1)}px`;
  const seen = (row) => grid.tops[row + 1] >= sheet.scrollTop - 300 && grid.tops[row] <= sheet.scrollTop + sheet.clientHeight + 300;
  const made = [];
  for (let row = 0; row + 1 < grid.tops.length; row += 1) {
    for (let place = row * grid.across; seen(row) && place < Math.min(state.shown.length, (row + 1) * grid.across); place += 1) made.push(cellOf(place));
  }
  byId("cells").replaceChildren(...made);
  const active = byId(`cell-${state.at}`);
  if (active) sheet.setAttribute("aria-activedescendant", active.id);
  else sheet.removeAttribute("aria-activedescendant");
  const pair = current();
  byId("sheet-place").textContent = pair ? `${pair.suspect ? "Label" : "Pair"} ${whole(state.at + 1)} of ${whole(state.shown.length)}` : "No pair fits.";
  byId("sheet-facts").replaceChildren(...(pair ? facts(pair) : []));
  for (const button of byId("bulk").querySelectorAll("button")) button.disabled = !pair;
}

function setSheet(on) {
  state.sheet = on;
  byId("stage").hidden = on;
  byId("side").hidden = on;
  byId("reviewer").classList.toggle("sheeted", on);
  byId("sheeted").hidden = !on;
  byId("sheet-toggle").setAttribute("aria-pressed", on);
  remeasure();
  byId(on ? "sheet" : "list").focus({ preventScroll: true });
}

// What one key says of a whole pair: drop takes the image that the rule would drop, or else B.
function wordsFor(pair, word) {
  if (pair.suspect) return [["a", word === "relabel" ? RELABEL + pair.suspect.suggested : word]];
  if (word === "relabel") return pair.contradiction === "class" ? [["b", RELABEL + side(pair, "a").label]] : [];
  if (word !== "drop") return ENDS.map((end) => [end, word]);
  return [[side(pair, "a").keep === false && side(pair, "b").keep !== false ? "a" : "b", word]];
}

function decidePair(pair, word, takeBack = true) {
  const wanted = wordsFor(pair, word);
  const there = wanted.length && wanted.every(([end, said]) => decisions.get(side(pair, end).name) === said);
  for (const end of wanted.length ? endsOf(pair) : []) {
    if (!takeBack || !there) continue;
    decisions.delete(side(pair, end).name);
  }
  if (!there && word === "drop") for (const end of endsOf(pair)) decisions.delete(side(pair, end).name);
  if (!there) for (const [end, said] of wanted) decisions.set(side(pair, end).name, said);
}

function decideShown(word) {
  const fitting = state.shown.map((i) => pairs[i]).filter((pair) => wordsFor(pair, word).length);
  if (!fitting.length) return tell(word === "relabel" ? "None of those shown has a suggested label." : "Nothing is shown.");
  if (!confirm(`${word[0].toUpperCase()}${word.slice(1)}: decide ${counted(fitting.length, fitting.filter((pair) => pair.suspect).length)} at once?`)) return undefined;
  for (const pair of fitting) decidePair(pair, word, false);
  return changed();
}

const SHEET_WORDS = { k: "keep", d: "drop", u: "unsure", r: "relabel" };

// Keys while the sheet is there: arrows go the way they point, a letter decides and stays.
function sheetKey(key) {
  const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: grid.across, ArrowUp: -grid.across };
  if (key in moves) return () => go(state.at + moves[key]);
  if (key === "Home" || key === "End") return () => go(key === "Home" ? 0 : state.shown.length - 1);
  if (key === "Enter") return () => setSheet(false);
  if (key in SHEET_WORDS) return () => { const pair = current(); if (pair) { decidePair(pair, SHEET_WORDS[key]); changed(); } };
  return null;
}
