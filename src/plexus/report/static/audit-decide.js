// Decisions: by name of the image, kept while the page is open, in the browser where it allows that, and in a file.
const WORDS = ["keep", "drop", "unsure"];
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
    for (const [name, word] of JSON.parse(localStorage.getItem(STORE) ?? "[]")) if (WORDS.includes(word)) decisions.set(String(name), word);
    stored = true;
  } catch {
    stored = false;
  }
}

// One image dropped settles a pair; else both have to be decided.
function isDecided(pair) {
  const words = ENDS.map((end) => decisions.get(side(pair, end).name));
  return words.includes("drop") || words.every(Boolean);
}

function decide(end, word) {
  const pair = current();
  if (!pair) return;
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
  const counts = WORDS.map((word) => [word, [...decisions.values()].filter((w) => w === word).length]);
  const parts = counts.filter(([, n]) => n).map(([word, n]) => `${whole(n)} ${word}`);
  const where = stored ? "Kept in this browser until cleared." : "Kept only while this page is open: save them.";
  const settled = pairs.filter(isDecided).length;
  const what = decisions.size ? `${plural(decisions.size, "image")} decided (${parts.join(", ")}), ${whole(settled)} of ${plural(pairs.length, "pair")} settled. ${where}` : "Nothing decided yet.";
  byId("decisions").textContent = [said, what].filter(Boolean).join(" ");
  byId("clear").disabled = !decisions.size;
}

function paintSide(pair, end) {
  const image = side(pair, end);
  const about = byId(`about-${end}`);
  about.querySelector(".name").textContent = image.name;
  about.querySelector(".what").textContent = labelled(image);
  const rule = image.keep === null ? "" : image.keep ? "by the rule: kept" : "by the rule: dropped";
  about.querySelector(".rule").textContent = rule && image.why ? `${rule}, ${image.why}` : rule;
  for (const button of about.querySelectorAll("button")) button.setAttribute("aria-pressed", decisions.get(image.name) === button.dataset.word);
}

function save() {
  const sorted = [...decisions].sort(([a], [b]) => (a < b ? -1 : 1));
  const text = JSON.stringify({ format: 1, kind: "audit-decisions", decisions: Object.fromEntries(sorted) }, null, 1);
  const link = make("a", { download: data.file, href: URL.createObjectURL(new Blob([`${text}\n`], { type: "application/json" })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  tell(`Saved as ${data.file}.`);
}

async function load(file) {
  let found = null;
  try {
    found = JSON.parse(await file.text());
  } catch {
    found = null;
  }
  const given = found?.kind === "audit-decisions" && found.format === 1 && found.decisions && typeof found.decisions === "object" ? Object.entries(found.decisions) : null;
  if (!given || !given.every(([, word]) => WORDS.includes(word))) return tell(`${file.name} holds no decisions of an audit.`);
  for (const [name, word] of given) decisions.set(name, word);
  changed();
  const here = new Set(images.map((image) => image.name));
  const other = given.filter(([name]) => !here.has(name)).length;
  return tell(`Loaded ${plural(given.length, "decision")}${other ? `, ${whole(other)} of them on images of no pair here` : ""}.`);
}
