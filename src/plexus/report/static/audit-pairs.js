// The pairs, what is shown of them, and in which order; `state` is all there is to know but the decisions. A doubtful
// label is a pair, too: the image, A, beside one that surely is of the suggested class, B, which nothing is decided on.
const { images, pairs, classes } = data;
const pictures = byId("pictures") ? JSON.parse(byId("pictures").textContent) : [];
const state = { shown: [], at: 0, mode: "side", front: "a" };
const collator = new Intl.Collator("en", { numeric: true });
const ENDS = ["a", "b"];

const side = (pair, end) => images[pair[end]];
const current = () => pairs[state.shown[state.at]];
const searched = pairs.map((pair) =>
  ENDS.flatMap((end) => [side(pair, end).name, side(pair, end).label ?? "", side(pair, end).group ?? ""]).join("\n").toLowerCase());

const KINDS = {
  all: () => true,
  contradiction: (pair) => pair.contradiction !== null,
  class: (pair) => pair.contradiction === "class",
  presence: (pair) => pair.contradiction === "presence",
  overlap: (pair) => pair.contradiction === "overlap",
  leak: (pair) => pair.leak !== null,
  exact: (pair) => pair.exact,
  label: (pair) => Boolean(pair.suspect),
};
const ofKind = (kind) => (pair) => !pair.suspect && (pair.kind ?? "same") === kind; // a kind of copy
const isSure = (pair) => (pair.suspect ? pair.suspect.evidence === "strong" : pair.sure !== false);
const EVIDENCE = { all: () => true, sure: isSure, unsure: (pair) => !isSure(pair) };
const suspected = pairs.filter((pair) => pair.suspect).length;

// What was not measured comes last; equals keep the order of the findings, which is the worst first.
const byNumber = (key) => (a, b) => (a[key] ?? Infinity) - (b[key] ?? Infinity) || 0;
const byText = (key) => (a, b) => collator.compare(side(a, "a")[key] ?? "\uffff", side(b, "a")[key] ?? "\uffff");
const ORDERS = { given: () => 0, distance: byNumber("distance"), dice: byNumber("dice"), group: byText("group"), name: byText("name") };

function choose(filter, isDecided) {
  const words = filter.query.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = { all: () => true, yes: isDecided, no: (pair) => !isDecided(pair) }[filter.decided];
  const kind = KINDS[filter.kind] ?? ofKind(filter.kind);
  const fits = (pair, i) => kind(pair) && EVIDENCE[filter.evidence](pair) && wanted(pair) && words.every((word) => searched[i].includes(word));
  const found = pairs.flatMap((pair, i) => (fits(pair, i) ? [i] : []));
  return found.sort((i, j) => ORDERS[filter.order](pairs[i], pairs[j]) || i - j);
}

function named(pair) {
  const kinds = [];
  if (pair.suspect) kinds.push(["label", `${pair.suspect.given} \u2192 ${pair.suspect.suggested}`]);
  if (pair.contradiction) kinds.push(["contradiction", pair.contradiction]);
  if (pair.leak) kinds.push(["leak", "leak"]);
  if (pair.exact) kinds.push(["exact", pair.stands ? `exact, ${whole(pair.stands)} such` : "exact"]);
  if (!pair.suspect && pair.kind && pair.kind !== "same") kinds.push(["copy", pair.kind]);
  if (!isSure(pair)) kinds.push(["weak", pair.suspect ? "weak evidence" : "not sure"]);
  return kinds;
}

function labelled(image) {
  const parts = [];
  if (image.label !== null) parts.push(`label ${image.label}`);
  if (image.present !== null) parts.push(image.present ? `target on ${percent(image.area)}` : "no target");
  if (image.group !== null) parts.push(`group ${image.group}`);
  if (image.split) parts.push(image.split);
  if (image.size) parts.push(`${image.size[1]}\u00d7${image.size[0]}`);
  return parts.join(" \u00b7 ");
}

// What stands in a list for an entry: names, and for a label what the net says of it.
function namesOf(pair) {
  if (!pair.suspect) return `${side(pair, "a").name} \u2194 ${side(pair, "b").name}`;
  return `${side(pair, "a").name} (${pair.suspect.given} ${decimal(pair.suspect.given_probability)}, ${pair.suspect.suggested} ${decimal(pair.suspect.probability)})`;
}

function counted(amount, labels) {
  const words = [amount - labels || !labels ? plural(amount - labels, "pair") : "", labels ? plural(labels, "doubtful label") : ""];
  return words.filter(Boolean).join(" and ");
}

// Lines that a text takes in a column of so many signs of equal width, broken anywhere; wide signs count twice.
function linesOf(text, columns) {
  let width = 0;
  for (const sign of text) width += sign.codePointAt(0) > 0x2e7f ? 2 : 1;
  const more = width > text.length || /[^\x20-\x7e\u2192\u2194]/.test(text) ? 1 : 0; // signs of another font may be wider
  return Math.max(1, Math.ceil(width / Math.max(1, columns))) + more;
}

// Signs that fit beside each other in an element whose font is of equal width.
function columnsOf(node, width) {
  const probe = make("span", { class: "names" }, "0".repeat(100));
  probe.style.cssText = "position: absolute; visibility: hidden; white-space: pre";
  node.append(probe);
  const each = probe.getBoundingClientRect().width / 100;
  probe.remove();
  return each ? Math.max(1, Math.floor(width / each)) : 40;
}
