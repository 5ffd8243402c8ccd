// The map of Z: a point per test image, its picture on hover; a class alone when its name is pressed.
const WIDE = 1000;
const TALL = 620;
const EDGE = 24;

function hue(k, classes) {
  return k < 0 ? "var(--soft)" : `light-dark(hsl(${(360 * k) / classes} 62% 42%), hsl(${(360 * k) / classes} 70% 66%))`;
}

function drawMap(host, map) {
  const sprite = new Image();
  sprite.src = map.sprite;
  const place = (value, size) => EDGE + value * (size - 2 * EDGE);
  const svg = make("svg", { viewBox: `0 0 ${WIDE} ${TALL}`, role: "img", "aria-label": `${whole(map.x.length)} test images, neighbours in Z beside each other` });
  const dots = map.x.map((x, i) => {
    const dot = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    const at = { cx: place(x, WIDE), cy: place(map.y[i], TALL), r: 6 };
    for (const [key, value] of Object.entries(at)) dot.setAttribute(key, value);
    dot.style.fill = hue(map.labels[i], map.classes.length);
    dot.dataset.image = i;
    return dot;
  });
  svg.append(...dots);
  svg.addEventListener("pointerover", (event) => {
    const i = event.target.dataset?.image;
    if (i === undefined) return hideTip();
    return showTip(event.target.getBoundingClientRect(), "above", thumbnail(sprite, map, Number(i)), ...words(map, Number(i)));
  });
  svg.addEventListener("pointerleave", hideTip);
  host.append(svg);
  return dots;
}

function thumbnail(sprite, map, i) {
  const [width, height] = map.tile;
  const canvas = make("canvas", { width: 3 * width, height: 3 * height });
  const pen = canvas.getContext("2d");
  pen.imageSmoothingEnabled = false;
  const [column, row] = [i % map.columns, Math.floor(i / map.columns)];
  pen.drawImage(sprite, column * width, row * height, width, height, 0, 0, 3 * width, 3 * height);
  return canvas;
}

function words(map, i) {
  const name = make("p", {}, map.names[i]);
  return map.labels[i] < 0 ? [name] : [make("b", {}, map.classes[map.labels[i]]), name];
}

function legend(map, dots) {
  const list = byId("legend");
  for (const button of list.querySelectorAll("button")) {
    const k = Number(button.dataset.class);
    const mark = make("svg", { width: 10, height: 10, "aria-hidden": "true" }, make("rect", { width: 10, height: 10, rx: 5 }));
    mark.firstChild.style.fill = hue(k, map.classes.length);
    button.prepend(mark);
    button.addEventListener("click", () => {
      const alone = button.getAttribute("aria-pressed") !== "true";
      for (const other of list.querySelectorAll("button")) other.setAttribute("aria-pressed", String(alone && other === button));
      dots.forEach((dot, i) => dot.classList.toggle("faint", alone && map.labels[i] !== k));
    });
  }
}

function showMap() {
  const host = byId("plane");
  if (!host || !data.map.x) return;
  const dots = drawMap(host, data.map);
  if (byId("legend")) legend(data.map, dots);
}

showMap();
