// Budget, epochs and measure decide what the drawing shows; `state` is all there is to know.
const { budgets, epochs, edges } = data;
const FULL = Math.max(1, ...epochs.flat().filter(known).map(Math.abs));
const MEASURES = data.measures;
const CUT = budgets.length > 0 || edges.some((edge) => !edge.kept);
const END = CUT ? epochs.length : Math.max(0, epochs.length - 1); // the last place of the slider: the cut, if there was one
const state = { budget: data.chosen ?? 0, epoch: END, measure: "strength", playing: false };
const KEPT = budgets.map((budget) => new Set(budget.kept));
const MARKED = new Set(edges.flatMap((edge, i) => (edge.kept ? [i] : [])));
const DIGITS = { strength: 2, gate: 2, ablation: 4 };

function measured(name) {
  const most = Math.max(...edges.map((edge) => Math.max(0, edge[name] ?? 0)));
  return { name, value: (i) => edges[i][name] ?? null, most: most || 1, digits: DIGITS[name], rest: true };
}

// Gates between two epochs lie on the straight line between them.
function during(at) {
  const before = epochs[Math.floor(at)];
  const after = epochs[Math.min(Math.ceil(at), epochs.length - 1)];
  const share = at - Math.floor(at);
  const value = (i) => Math.abs((before[i] ?? 0) * (1 - share) + (after[i] ?? 0) * share);
  return { name: "gate", value, most: FULL, digits: 2, rest: false };
}

function show() {
  const budget = budgets[state.budget];
  const kept = budget ? KEPT[state.budget] : MARKED;
  const rest = state.epoch >= epochs.length;
  const none = { name: "connection", value: () => 0.4, most: 1, digits: 1, rest: true };
  Object.assign(view, rest ? (MEASURES.length ? measured(state.measure) : none) : during(state.epoch), { kept });
  if (drawing.root) {
    drawing.root.classList.toggle("learning", !rest);
    paint();
  }
  write(budget, kept.size);
  writeEpoch(rest);
  document.querySelectorAll("#measure input").forEach((input) => {
    input.disabled = !rest || !MEASURES.includes(input.value);
    input.checked = input.value === (rest ? state.measure : "gate");
  });
}

function write(budget, kept) {
  const full = budgets[0];
  if (byId("kept")) byId("kept").textContent = `${whole(kept)} of ${whole(edges.length)}`;
  if (byId("maps")) byId("maps").textContent = `${whole(budget?.maps ?? data.whole)} of ${whole(data.whole)}`;
  byId("parameters").textContent = whole(budget?.parameters);
  byId("macs").textContent = short(budget?.macs);
  byId("ms").textContent = known(budget?.ms) ? budget.ms.toFixed(3) : "–";
  byId("kb").textContent = known(budget?.kb) ? whole(Math.round(budget.kb)) : "–";
  const less = budget && known(budget.accuracy) && known(full.accuracy) ? 100 * (budget.accuracy - full.accuracy) : null;
  const text = less !== null && budget !== full ? ` (${signed(less)})` : "";
  byId("accuracy").textContent = percent(budget?.accuracy) + text;
  const slider = byId("budget");
  if (slider) {
    slider.value = budgets.length - 1 - state.budget;
    slider.setAttribute("aria-valuetext", `${data.unit ? `${budget.maps} of ${data.whole} ${data.unit}` : `${kept} of ${edges.length} connections`}, validation accuracy ${percent(budget.accuracy)}`);
    byId("chosen").textContent = state.budget === data.chosen ? "chosen in this run" : "";
  }
  for (const chart of document.querySelectorAll("#cost-charts svg")) {
    chart.querySelectorAll('[aria-roledescription="point"]').forEach((point, i) => point.classList.toggle("here", i === state.budget));
  }
}

function writeEpoch(rest) {
  const slider = byId("epoch");
  if (!slider) return;
  slider.max = END;
  const text = rest ? "after the cut" : `epoch ${Math.floor(state.epoch) + 1} of ${epochs.length}`;
  slider.value = Math.floor(state.epoch);
  slider.setAttribute("aria-valuetext", text);
  byId("epoch-label").textContent = text;
  byId("play").textContent = state.playing ? "Pause" : "Play";
  byId("play").setAttribute("aria-pressed", state.playing);
}

// One epoch takes long enough to see and the whole no longer than some seconds; without tweening if motion is unwelcome.
function play() {
  state.playing = !state.playing;
  if (!state.playing) return show();
  if (state.epoch >= epochs.length - 1) state.epoch = 0;
  const pace = Math.max(120, Math.min(600, 7000 / epochs.length));
  let [started, from] = [null, state.epoch];
  const step = (now) => {
    if (!state.playing) return;
    started ??= now;
    const at = from + (now - started) / pace;
    state.epoch = calm.matches ? Math.floor(at) : Math.min(at, epochs.length - 1);
    if (at >= epochs.length) Object.assign(state, { epoch: END, playing: false });
    show();
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
  return show();
}

function connect() {
  byId("budget")?.addEventListener("input", (event) => {
    state.budget = budgets.length - 1 - Number(event.target.value);
    show();
  });
  byId("epoch")?.addEventListener("input", (event) => {
    Object.assign(state, { epoch: Number(event.target.value), playing: false });
    show();
  });
  byId("play")?.addEventListener("click", play);
  byId("measure")?.addEventListener("change", (event) => {
    state.measure = event.target.value;
    show();
  });
  if (!MEASURES.includes(state.measure) && MEASURES.length) [state.measure] = MEASURES;
}
