// Shared by the other files: the record's data, and small makers of elements and of words.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const calm = matchMedia("(prefers-reduced-motion: reduce)");

// Text of the record reaches the page through textContent and setAttribute only.
function make(name, attributes = {}, ...children) {
  const inSvg = ["svg", "g", "path", "rect", "text"].includes(name);
  const node = inSvg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

const THIN = "\u202f";
const NONE = "\u2013";
const known = (value) => typeof value === "number";

function percent(share) {
  return known(share) ? `${(100 * share).toFixed(1)}${THIN}%` : NONE;
}

function whole(value) {
  return known(value) ? Math.round(value).toLocaleString("en-US") : NONE;
}

function short(value) {
  if (!known(value)) return NONE;
  for (const [size, suffix] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (Math.abs(value) >= 0.9995 * size) return (value / size).toPrecision(3) + THIN + suffix;
  }
  return String(Math.round(value));
}

function decimal(value, digits = 2) {
  return known(value) ? value.toFixed(digits).replace("-", "\u2212") : NONE;
}

function signed(value, digits = 1) {
  const text = Math.abs(value).toFixed(digits);
  return (Number(text) === 0 ? "" : value < 0 ? "\u2212" : "+") + text;
}

function plural(amount, thing) {
  return `${whole(amount)} ${thing}${amount === 1 ? "" : "s"}`;
}

// The number of a layer is enough where there is little room.
function brief(name) {
  return name.replace(/^lego\s*(?=\d+$)/, "");
}

// One tooltip for the whole page, above or below a rectangle and inside the window.
const tip = byId("tip");

function showTip(box, side, ...content) {
  tip.replaceChildren(...content);
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const room = document.documentElement.clientWidth;
  const above = box.top - height - 10;
  const below = box.bottom + 10;
  const over = side === "above" ? above > 4 : below + height > innerHeight && above > 4;
  const left = Math.max(8, Math.min(room - width - 8, box.left + box.width / 2 - width / 2));
  tip.style.left = `${left + scrollX}px`;
  tip.style.top = `${(over ? above : below) + scrollY}px`;
}

function hideTip() {
  tip.hidden = true;
}
