// The pair that is looked at: side by side, on top of each other, or as a difference. The shift of a pair, in pixels,
// says how far down and right the second shows what the first shows; moved back by it, the second lies on the first.
const TINTS = { a: "#5b8cff", b: "#ff9d5c" };
const GAIN = 4; // small differences are to be seen
const COARSE = 96; // pixels of the longer side
let blinking = null;

// Pixels that are drawn larger than they are stay squares.
function grain(index) {
  return Math.max(...(images[index].size ?? [COARSE + 1])) <= COARSE ? "coarse" : "";
}

function picture(index, end, shift, size) {
  const [image, mask] = pictures[index] ?? [null, null];
  if (!image) return [make("span", { class: "nopicture" }, "no picture")];
  const shown = [make("img", { class: grain(index), src: image, alt: `${end.toUpperCase()}: ${images[index].name}` })];
  if (mask) shown.push(make("img", { class: "outline", src: mask, alt: "" }));
  if (shift && size) for (const node of shown) node.style.transform = `translate(${(-100 * shift[1]) / size[1]}%, ${(-100 * shift[0]) / size[0]}%)`;
  return shown;
}

function paintStage() {
  const pair = current();
  byId("stage").classList.toggle("none", !pair);
  byId("place").textContent = pair ? `${pair.suspect ? "Label" : "Pair"} ${whole(state.at + 1)} of ${whole(state.shown.length)}` : "No pair fits.";
  document.querySelectorAll("[data-only]").forEach((node) => { node.hidden = node.dataset.only !== state.mode; });
  const screens = byId("screens");
  screens.className = `screens ${state.mode}${byId("outlines").checked ? "" : " plain"}`;
  if (!pair) return;
  byId("facts").replaceChildren(...facts(pair));
  const size = side(pair, "a").size;
  const blink = state.mode === "blink";
  screens.style.gridTemplateColumns = state.mode === "side" || !size ? "" : `minmax(0, ${Math.round(Math.min(460, (560 * size[1]) / size[0]))}px)`;
  for (const end of ENDS) {
    const shift = end === "b" && blink ? pair.shift : null;
    const screen = byId(`screen-${end}`);
    screen.replaceChildren(make("span", { class: "letter" }, end.toUpperCase()), ...picture(pair[end], end, shift, size));
    screen.classList.toggle("sized", blink && size !== null);
    screen.style.aspectRatio = blink && size ? `${size[1]} / ${size[0]}` : "";
    screen.classList.toggle("behind", blink && state.front !== end);
    paintSide(pair, end);
  }
  byId("remark").textContent = blink ? laid(pair) : "";
  if (state.mode === "difference") drawDifference(pair);
}

function facts(pair) {
  const parts = named(pair).map(([kind, text]) => make("span", { class: `badge ${kind}` }, kind === "contradiction" ? `contradicts by ${text}` : kind !== "leak" && kind !== "exact" ? text : kind === "leak" ? `leak: ${pair.leak.join(" and ")}` : "exact copy"));
  const add = (text) => parts.push(make("span", {}, text));
  if (pair.sure === false) add("not sure");
  if (pair.suspect) {
    const { given, suggested: likely, given_probability: own, probability, evidence } = pair.suspect;
    add(`labelled ${given}, probability ${decimal(own, 3)}`);
    add(`more likely ${likely}, probability ${decimal(probability, 3)}`);
    add(`${evidence} evidence`);
    return parts;
  }
  if (pair.stands) add(`one of ${whole(pair.stands)} such pairs of exact copies`);
  add(`distance ${decimal(pair.distance, 4)}`);
  if (known(pair.expected) && pair.expected >= 0.01) add(`${decimal(pair.expected, 2)} false pairs expected as near`);
  if (known(pair.dice)) add(`Dice of the masks ${decimal(pair.dice, 3)}`);
  if (pair.shift?.some((pixels) => Math.abs(pixels) >= 0.05)) add(`B lies ${moved(pair)}`);
  return parts;
}

// What was done to B before it lies on A, as the audit does when it compares them.
function laid(pair) {
  const [a, b] = ENDS.map((end) => String(side(pair, end).size));
  const said = [a !== b && "drawn at the size of A", pair.shift && `moved back by its shift of ${moved(pair)}`].filter(Boolean);
  return said.length ? `B is ${said.join(" and ")}.` : "";
}

function moved(pair) {
  const way = (value, more, less) => `${decimal(Math.abs(value), 1)} px ${value < 0 ? less : more}`;
  return `${way(pair.shift[1], "right", "left")}, ${way(pair.shift[0], "down", "up")}`;
}

function swap() {
  state.front = state.front === "a" ? "b" : "a";
  for (const end of ENDS) byId(`screen-${end}`).classList.toggle("behind", state.front !== end);
}

function setMode(mode) {
  if (mode === "blink" && state.mode === "blink") return swap();
  state.mode = mode;
  for (const input of byId("mode").querySelectorAll("input")) input.checked = input.value === mode;
  setBlinking();
  return paintStage();
}

// Slower than three flashes a second, and only when asked for.
function setBlinking() {
  clearInterval(blinking);
  blinking = state.mode === "blink" && byId("auto").checked ? setInterval(swap, 700) : null;
}

async function loaded(uri) {
  const image = new Image();
  image.src = uri;
  await image.decode();
  return image;
}

async function drawDifference(pair) {
  const canvas = byId("difference");
  const [a, b] = ENDS.map((end) => pictures[pair[end]] ?? [null, null]);
  const fresh = () => pair === current() && state.mode === "difference";
  canvas.hidden = !a[0] || !b[0];
  if (canvas.hidden) { byId("remark").textContent = "There is no picture of both."; return; }
  let drawn;
  try {
    drawn = await Promise.all([a[0], b[0], a[1], b[1]].map((uri) => (uri ? loaded(uri) : null)));
  } catch {
    if (fresh()) byId("remark").textContent = "A picture cannot be decoded.";
    return;
  }
  if (!fresh()) return;
  const [width, height] = [drawn[0].naturalWidth, drawn[0].naturalHeight];
  Object.assign(canvas, { width, height, className: grain(pair.a) });
  const size = side(pair, "a").size ?? [height, width];
  const place = pair.shift ? [(-pair.shift[1] * width) / size[1], (-pair.shift[0] * height) / size[0]] : [0, 0];
  const found = subtract(pixelsOf(drawn[0], width, height, [0, 0]), pixelsOf(drawn[1], width, height, place), byId("match").checked);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.putImageData(new ImageData(found.pixels, width, height), 0, 0);
  if (byId("outlines").checked) {
    if (drawn[2]) context.drawImage(tinted(drawn[2], width, height, TINTS.a), 0, 0);
    if (drawn[3]) context.drawImage(tinted(drawn[3], width, height, TINTS.b), ...place);
  }
  const mean = decimal(found.mean, 1);
  canvas.setAttribute("aria-label", `Difference of A and B: ${mean} grey levels on average`);
  byId("remark").textContent = `${mean} of 255 grey levels apart on average, drawn ${GAIN} times as strong: A brighter is blue, B brighter is orange. ${laid(pair)}`;
}

function pixelsOf(image, width, height, place) {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(image, place[0], place[1], width, height);
  return context.getImageData(0, 0, width, height).data;
}

function tinted(image, width, height, color) {
  const made = new OffscreenCanvas(width, height);
  const context = made.getContext("2d");
  context.drawImage(image, 0, 0, width, height);
  context.globalCompositeOperation = "source-in";
  context.fillStyle = color;
  context.fillRect(0, 0, width, height);
  return made;
}

// Where both are there: A minus B, after the gain and the offset that bring B nearest to A.
function subtract(a, b, match) {
  const grey = (from, i) => 0.299 * from[i] + 0.587 * from[i + 1] + 0.114 * from[i + 2];
  const there = [];
  for (let i = 0; i < a.length; i += 4) if (a[i + 3] === 255 && b[i + 3] === 255) there.push(i);
  const n = there.length || 1;
  let [sumA, sumB, sumAB, sumBB] = [0, 0, 0, 0];
  for (const i of there) {
    const [x, y] = [grey(a, i), grey(b, i)];
    sumA += x; sumB += y; sumAB += x * y; sumBB += y * y;
  }
  const spread = sumBB / n - (sumB / n) ** 2;
  const gain = match && spread > 1e-6 ? (sumAB / n - (sumA * sumB) / n ** 2) / spread : 1;
  const offset = match ? (sumA - gain * sumB) / n : 0;
  const pixels = new Uint8ClampedArray(a.length);
  let total = 0;
  for (const i of there) {
    const difference = grey(a, i) - (gain * grey(b, i) + offset);
    total += Math.abs(difference);
    const strength = GAIN * Math.abs(difference);
    pixels.set(difference > 0 ? [0.35 * strength, 0.6 * strength, strength] : [strength, 0.6 * strength, 0.3 * strength], i);
    pixels[i + 3] = 255;
  }
  return { pixels, mean: total / n };
}
