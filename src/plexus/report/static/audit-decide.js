// Decisions: by name of the image, kept while the page is open, in the browser where it allows that, and in a file.
const WORDS = ["keep", "drop", "unsure"];
const RELABEL = "relabel:"; // begins a decision that gives a class
const isWord = (word) => WORDS.includes(word) || (typeof word === "string" && word.startsWith(RELABEL) && classes.includes(word.slice(RELABEL.length)));
const endsOf = (pair) => (pair.suspect ? ["a"] : ENDS); // what may be decided on
const STORE = `plexus-audit-${data.key}`;
const decisions = new Map();
let stored = false;

function remember() {
  try {
    if (decisions.size) localStorage.setItem(STORE, JSON.stringify([...decisions]));
    else localStorage.removeItem(STORE);
    stored = true;
  } catch {
    stored = false; // a browser may forbid it; the file remains
  }
}

function recall() {
  try {
    for (const [name, word] of JSON.parse(localStorage.getItem(STORE) ?? "[]")) if (isWord(word)) decisions.set(String(name), word);
    stored = true;
  } catch {
    stored = false;
  }
}

// One image dropped settles a pair; else both have to be decided.
function isDecided(pair) {
  const words = endsOf(pair).map((end) => decisions.get(side(pair, end).name));
  return words.includes("drop") || words.every(Boolean);
}

// The class that an image is likely of: the net's, or in a contradictory pair the other one's.
function suggested(pair, end) {
  if (pair.suspect) return end === "a" ? pair.suspect.suggested : null;
  return pair.contradiction === "class" ? side(pair, end === "a" ? "b" : "a").label : null;
}

function relabel(end, label = null) {
  const pair = current();
  const wanted = label ?? (pair && suggested(pair, end));
  if (wanted) decide(end, RELABEL + wanted);
}

function decide(end, word) {
  const pair = current();
  if (!pair || !endsOf(pair).includes(end)) return;
  const { name } = side(pair, end);
  if (decisions.get(name) === word) decisions.delete(name);
  else decisions.set(name, word);
  changed();
}

function changed() {
  remember();
  paintList();
  const pair = current();
  if (pair) for (const end of ENDS) paintSide(pair, end);
  tell();
}

function tell(said = "") {
  const counts = [...WORDS, "relabel"].map((word) => [word, [...decisions.values()].filter((w) => classOf(w) === word).length]);
  const parts = counts.filter(([, n]) => n).map(([word, n]) => `${whole(n)} ${word}`);
  const where = stored ? "Kept in this browser until cleared." : "Kept only while this page is open: save them.";
  const settled = pairs.filter(isDecided).length;
  const what = decisions.size ? `${plural(decisions.size, "image")} decided (${parts.join(", ")}), ${whole(settled)} of ${counted(pairs.length, suspected)} settled. ${where}` : "Nothing decided yet.";
  byId("decisions").textContent = [said, what].filter(Boolean).join(" ");
  byId("clear").disabled = !decisions.size;
}

function paintSide(pair, end) {
  const image = side(pair, end);
  const about = byId(`about-${end}`);
  about.querySelector(".name").textContent = pair.suspect && end === "b" ? `${image.name}, an example of ${pair.suspect.suggested}` : image.name;
  about.querySelector(".what").textContent = labelled(image);
  const rule = image.keep === null ? "" : image.keep ? "by the rule: kept" : "by the rule: dropped";
  about.querySelector(".rule").textContent = rule && image.why ? `${rule}, ${image.why}` : rule;
  const word = decisions.get(image.name);
  for (const button of about.querySelectorAll("button")) button.setAttribute("aria-pressed", word === button.dataset.word);
  about.querySelector(".decide").hidden = !endsOf(pair).includes(end);
  const choice = byId(`relabel-${end}`);
  choice.parentElement.hidden = image.label === null || !classes.length;
  choice.value = classOf(word) === "relabel" ? word.slice(RELABEL.length) : "";
  choice.classList.toggle("chosen", choice.value !== "");
}

// A cell of a table: quoted where it must be, and an apostrophe before what a spreadsheet would take for a formula.
function cell(text) {
  const safe = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function save(asTable) {
  const sorted = [...decisions].sort(([a], [b]) => (a < b ? -1 : 1));
  const rows = sorted.map(([name, word]) => [name, classOf(word), classOf(word) === "relabel" ? word.slice(RELABEL.length) : ""]);
  const table = [["name", "decision", "label"], ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
  const text = asTable ? table : `${JSON.stringify({ format: 1, kind: "audit-decisions", data: data.name, key: data.key, decisions: Object.fromEntries(sorted) }, null, 1)}\n`;
  const name = asTable ? data.file.replace(/\.json$/, ".csv") : data.file;
  const link = make("a", { download: name, href: URL.createObjectURL(new Blob([text], { type: asTable ? "text/csv" : "application/json" })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  tell(`Saved as ${name}.`);
}

async function load(file) {
  let found = null;
  try {
    found = JSON.parse(await file.text());
  } catch {
    found = null;
  }
  const given = found?.kind === "audit-decisions" && found.format === 1 && found.decisions && typeof found.decisions === "object" ? Object.entries(found.decisions) : null;
  if (!given || !given.every(([, word]) => isWord(word))) return tell(`${file.name} holds no decisions of an audit.`);
  for (const [name, word] of given) decisions.set(name, word);
  changed();
  const here = new Set(images.map((image) => image.name));
  const other = given.filter(([name]) => !here.has(name)).length;
  const foreign = typeof found.key === "string" && found.key !== data.key; // the names agree, the images may not
  const made = foreign ? `, made on other images (${found.data}) than those of ${data.name}` : "";
  return tell(`Loaded ${plural(given.length, "decision")}${made}${other ? `, ${whole(other)} of them on images of no pair here` : ""}.`);
}
