// The drawing: built once per layout, then only painted anew as budget, epoch or measure change.
const drawing = { arcs: [], boxes: [], root: null, size: null, ghosts: null, order: [], under: null };
const view = { kept: new Set(), value: () => 0, most: 1, rest: true, name: "strength" };

function build(width) {
  const { nodes, edges } = data;
  const size = layout(width, nodes, edges);
  const root = make("svg", {
    class: `plexus ${size.across ? "across" : "down"}`,
    viewBox: `0 0 ${size.width} ${size.height}`,
    width: size.width,
    height: size.height,
    role: "group",
    "aria-label": `Wiring of ${nodes.length - 2} layers. Arrow keys move from layer to layer.`,
  });
  const read = new Set(edges.map((edge) => edge.target));
  if (nodes.length > 2 && !read.has(1)) root.append(make("path", { class: "fixed", d: size.path({ source: 0, target: 1 }) }));
  const order = edges.map((_, i) => i).sort((a, b) => span(edges[b]) - span(edges[a]));
  const paths = edges.map(size.path);
  const ghosts = make("path", { class: "ghosts", d: paths.join("") });
  root.append(ghosts);
  drawing.arcs = [];
  for (const i of order) {
    const d = paths[i];
    const arc = make("path", { class: `arc reach-${edges[i].reach}`, d, "data-edge": i });
    if (edges[i].maps) arc.setAttribute("stroke-opacity", (0.2 + (0.8 * edges[i].maps[0]) / Math.max(1, edges[i].maps[1])).toFixed(2));
    const hit = make("path", { class: "hit", d });
    hit.addEventListener("pointerenter", (event) => pointAtArc(i, event));
    hit.addEventListener("pointerleave", release);
    drawing.arcs[i] = { arc, hit };
    root.append(arc);
  }
  root.append(...order.map((i) => drawing.arcs[i].hit));
  drawing.boxes = nodes.map((node, i) => buildBox(node, i, size));
  root.append(...drawing.boxes);
  root.addEventListener("keydown", moveFocus);
  Object.assign(drawing, { root, size, ghosts, order, under: null });
  byId("drawing").replaceChildren(root);
}

function buildBox(node, i, size) {
  const { x, y, width, height, middle } = size.box(i);
  const text = make("text", { x: middle[0], y: middle[1] + 4, "text-anchor": "middle" }, brief(node.name));
  const box = make("g", { class: "box", tabindex: i === 0 ? 0 : -1, role: "img" }, make("rect", { x, y, width, height, rx: 5 }), text);
  for (const name of ["pointerenter", "focus"]) box.addEventListener(name, () => pointAtBox(i));
  box.addEventListener("pointerleave", () => (document.activeElement === box ? pointAtBox(i) : release()));
  box.addEventListener("blur", release);
  return box;
}

function moveFocus(event) {
  if (event.key === "Escape") return release();
  const now = drawing.boxes.indexOf(document.activeElement);
  const last = drawing.boxes.length - 1;
  const next = { ArrowRight: now + 1, ArrowDown: now + 1, ArrowLeft: now - 1, ArrowUp: now - 1, Home: 0, End: last }[event.key];
  if (now < 0 || next === undefined || next < 0 || next > last) return undefined;
  event.preventDefault();
  drawing.boxes.forEach((box, i) => box.setAttribute("tabindex", i === next ? 0 : -1));
  drawing.boxes[next].focus();
  return undefined;
}

// Width follows the value; a cut connection leaves its hairline at rest, and keeps its width, in grey, in the epochs.
function paint() {
  const { thickest } = drawing.size;
  if (!view.rest && drawing.under !== view.kept) {
    drawing.ghosts.after(...drawing.order.filter((i) => !view.kept.has(i)).map((i) => drawing.arcs[i].arc));
    drawing.under = view.kept;
  }
  data.edges.forEach((edge, i) => {
    const { arc, hit } = drawing.arcs[i];
    const kept = view.kept.has(i);
    const share = Math.max(0, view.value(i) ?? 0) / view.most;
    const width = kept ? Math.max(0.9, thickest * share) : view.rest ? 0 : thickest * share;
    arc.setAttribute("stroke-width", width.toFixed(2));
    arc.classList.toggle("cut", !kept);
    hit.classList.toggle("off", !kept);
  });
  const alive = readers();
  drawing.boxes.forEach((box, i) => {
    box.classList.toggle("gone", !alive.has(i));
    box.setAttribute("aria-label", sentence(i, alive));
  });
}

// A layer is part of the net if what it says reaches the head.
function readers() {
  const last = data.nodes.length - 1;
  const alive = new Set([last]);
  for (let i = last; i >= 0; i -= 1) {
    if (alive.has(i)) data.edges.forEach((edge, k) => edge.target === i && view.kept.has(k) && alive.add(edge.source));
  }
  return alive.has(1) ? alive.add(0) : alive;
}
