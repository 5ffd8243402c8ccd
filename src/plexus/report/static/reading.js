// What the drawing tells about one layer or one connection, in a tooltip and to a screen reader.
function touching(i, end) {
  const found = data.edges.map((edge, k) => ({ ...edge, k })).filter((edge) => edge[end] === i && view.kept.has(edge.k));
  return found.sort((a, b) => (view.value(b.k) ?? 0) - (view.value(a.k) ?? 0));
}

function sentence(i, alive) {
  const names = (list, end) => list.map((edge) => data.nodes[edge[end]].name).join(", ");
  const { name, label } = data.nodes[i];
  const parts = [label ? `${name}, ${label}` : name];
  const [reads, read] = [touching(i, "target"), touching(i, "source")];
  if (reads.length) parts.push(`reads ${names(reads, "source")}`);
  if (read.length) parts.push(`read by ${names(read, "target")}`);
  if (!alive.has(i)) parts.push("left out, nobody reads it");
  return parts.join("; ");
}

function pointAtBox(i) {
  const [reads, read] = [touching(i, "target"), touching(i, "source")];
  light([...reads, ...read].map((edge) => edge.k), [i, ...reads.map((e) => e.source), ...read.map((e) => e.target)]);
  const { name, label } = data.nodes[i];
  const content = [make("b", {}, name), make("p", {}, label)];
  if (i === 1 && !data.edges.some((edge) => edge.target === 1)) content.push(make("p", {}, "always reads the input"));
  content.push(...list("reads", reads, "source"), ...list("read by", read, "target"));
  const cut = data.edges.filter((edge, k) => (edge.source === i || edge.target === i) && !view.kept.has(k)).length;
  if (cut) content.push(make("p", { class: "more" }, `${plural(cut, "connection")} cut`));
  showTip(drawing.boxes[i].getBoundingClientRect(), "below", ...content);
}

function list(title, edges, end) {
  if (!edges.length) return [];
  const rows = edges.slice(0, 6).map((edge) => {
    const value = view.value(edge.k);
    const bar = make("svg", { width: 44, height: 6, "aria-hidden": "true" });
    bar.append(make("path", { class: `reach-${edge.reach}`, d: `M0 3H${(44 * Math.max(0, value ?? 0)) / view.most}` }));
    return make("li", {}, make("span", {}, data.nodes[edge[end]].name), bar, make("span", {}, decimal(value, view.digits)));
  });
  if (edges.length > 6) rows.push(make("li", { class: "more" }, `and ${edges.length - 6} more`));
  return [make("h4", {}, `${title} (${view.name})`), make("ul", {}, ...rows)];
}

function pointAtArc(k, event) {
  const edge = data.edges[k];
  if (!view.kept.has(k)) return;
  light([k], [edge.source, edge.target]);
  const facts = [["gate", decimal(edge.gate)], ["strength", decimal(edge.strength)], ["loss when cut", known(edge.ablation) ? signed(edge.ablation, 4) : NONE]];
  if (edge.maps) facts.push(["map edges kept", `${whole(edge.maps[0])} of ${whole(edge.maps[1])}`]);
  const rows = facts.map(([name, value]) => make("li", {}, make("span", {}, name), make("span", {}, value)));
  const title = `${data.nodes[edge.source].name} \u2192 ${data.nodes[edge.target].name}`;
  showTip(new DOMRect(event.clientX, event.clientY - 6, 0, 12), "above", make("b", {}, title), make("ul", { class: "pairs" }, ...rows));
}

// Everything else steps back while something is pointed at.
function light(edges, nodes) {
  drawing.root.classList.add("pointed");
  drawing.arcs.forEach(({ arc }, k) => arc.classList.toggle("lit", edges.includes(k)));
  drawing.boxes.forEach((box, i) => box.classList.toggle("lit", nodes.includes(i)));
}

function release() {
  drawing.root.classList.remove("pointed");
  hideTip();
}
