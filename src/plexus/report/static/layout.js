// Where everything of the drawing lies: along a line from left to right, or from top to bottom where room is narrow.
const BOX = 22;
const span = (edge) => edge.target - edge.source;

function layout(width, nodes, edges) {
  const last = nodes.length - 1;
  const across = width >= 640;
  const longest = (list) => Math.max(0, ...list.map(span));
  const toHead = longest(edges.filter((edge) => edge.target === last && span(edge) > 1));
  const toLayer = longest(edges.filter((edge) => edge.target !== last && span(edge) > 1));
  const step = across ? Math.min(132, (width - 56) / Math.max(1, last)) : Math.max(32, Math.min(46, 600 / Math.max(1, last)));
  const long = across ? Math.max(22, Math.min(52, step * 0.78)) : 44;
  const rooms = across
    ? { layer: Math.min(270, 0.42 * step * toLayer), head: Math.min(140, 0.3 * step * toHead) }
    : { layer: Math.min(0.58 * (width - long), 0.8 * step * toLayer), head: Math.min(0.32 * (width - long), 0.6 * step * toHead) };
  const near = rooms.layer + 10;
  const far = rooms.head + 10;
  const start = across ? (width - step * last) / 2 : BOX;
  const line = across ? near + BOX / 2 : far + long / 2;
  const [half, ends] = across ? [BOX / 2, long / 2] : [long / 2, BOX / 2];
  const ports = dock(nodes, edges, ends);

  const place = (i) => start + i * step;
  const point = (at, off) => (across ? `${at.toFixed(1)} ${(line - off).toFixed(1)}` : `${(line + off).toFixed(1)} ${at.toFixed(1)}`);

  // A straight link for neighbors; else half an ellipse, up (or right) to a layer and down (or left) to the head.
  function path(edge, k) {
    const [a, b] = [place(edge.source), place(edge.target)];
    if (span(edge) === 1) return `M${point(a + ends, 0)}L${point(b - ends, 0)}`;
    const head = edge.target === last;
    const [from, to] = [a + ports[k].out, b + ports[k].in];
    const along = (to - from) / 2;
    const rise = (head ? rooms.head : rooms.layer) * (span(edge) / (head ? toHead : toLayer)) ** 0.8;
    const radii = across ? `${along.toFixed(1)} ${rise.toFixed(1)}` : `${rise.toFixed(1)} ${along.toFixed(1)}`;
    const side = head ? -half : half;
    return `M${point(from, side)}A${radii} 0 0 ${head ? 0 : 1} ${point(to, side)}`;
  }

  function box(i) {
    const [w, h] = [long, BOX];
    const [x, y] = across ? [place(i), line] : [line, place(i)];
    return { x: x - w / 2, y: y - h / 2, width: w, height: h, middle: [x, y] };
  }

  const size = across ? { width, height: near + BOX + far } : { width: far + long + near, height: 2 * BOX + step * last };
  return { across, path, box, ...size, thickest: across ? Math.min(10, step * 0.15) : 6.5 };
}

// Where each arc leaves its source and meets its target, from the middle of the box: inputs share the first half of a
// side, outputs the second, and longer arcs lie nearer to the middle, so that they enclose the shorter ones.
function dock(nodes, edges, ends) {
  const ports = edges.map(() => ({ in: 0, out: 0 }));
  const last = nodes.length - 1;
  for (let i = 0; i <= last; i += 1) {
    for (const below of [false, true]) {
      const here = edges.map((edge, k) => [edge, k]).filter(([edge]) => span(edge) > 1 && (edge.target === last) === below);
      const inputs = here.filter(([edge]) => edge.target === i).sort(([a], [b]) => span(a) - span(b));
      const outputs = here.filter(([edge]) => edge.source === i).sort(([a], [b]) => span(b) - span(a));
      const from = inputs.length ? 0.14 : -0.8;
      const to = outputs.length ? -0.14 : 0.8;
      inputs.forEach(([, k], n) => (ports[k].in = ends * spread(-0.8, to, n, inputs.length)));
      outputs.forEach(([, k], n) => (ports[k].out = ends * spread(from, 0.8, n, outputs.length)));
    }
  }
  return ports;
}

function spread(from, to, n, count) {
  return from + ((n + 0.5) * (to - from)) / count;
}
