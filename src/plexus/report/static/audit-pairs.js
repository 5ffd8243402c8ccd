// The pairs, what is shown of them, and in which order; `state` is all there is to know but the decisions.
const { images, pairs } = data;
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
};

// What was not measured comes last; equals keep the order of the findings, which is the worst first.
const byNumber = (key) => (a, b) => (a[key] ?? Infinity) - (b[key] ?? Infinity) || 0;
const byText = (key) => (a, b) => collator.compare(side(a, "a")[key] ?? "\uffff", side(b, "a")[key] ?? "\uffff");
const ORDERS = { given: () => 0, distance: byNumber("distance"), dice: byNumber("dice"), group: byText("group"), name: byText("name") };

function choose(filter, isDecided) {
  const words = filter.query.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = { all: () => true, yes: isDecided, no: (pair) => !isDecided(pair) }[filter.decided];
  const fits = (pair, i) => KINDS[filter.kind](pair) && wanted(pair) && words.every((word) => searched[i].includes(word));
  const found = pairs.flatMap((pair, i) => (fits(pair, i) ? [i] : []));
  return found.sort((i, j) => ORDERS[filter.order](pairs[i], pairs[j]) || i - j);
}

function named(pair) {
  const kinds = [];
  if (pair.contradiction) kinds.push(["contradiction", pair.contradiction]);
  if (pair.leak) kinds.push(["leak", "leak"]);
  if (pair.exact) kinds.push(["exact", "exact"]);
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
