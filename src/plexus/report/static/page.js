// Everything around the drawing: its start and its width, the theme, sorting, copying, tooltips of the charts.
function start() {
  const host = byId("drawing");
  if (!host) return;
  connect();
  let width = 0;
  const fit = () => {
    if (Math.abs(host.clientWidth - width) < 2 || !host.clientWidth) return;
    width = host.clientWidth;
    build(width);
    show();
  };
  fit();
  addEventListener("resize", fit);
}

function themes() {
  const button = byId("theme");
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const now = () => root.dataset.theme ?? (dark.matches ? "dark" : "light");
  const label = () => {
    button.textContent = now() === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to the ${button.textContent.toLowerCase()} theme`);
  };
  button.addEventListener("click", () => {
    root.dataset.theme = now() === "dark" ? "light" : "dark";
    label();
  });
  dark.addEventListener("change", label);
  button.hidden = false;
  label();
}

function sorting() {
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => sort(table, heads, column)));
  }
}

// Numbers start with the largest, names with the first; what was not measured stays at the end.
function sort(table, heads, column) {
  const before = heads[column].getAttribute("aria-sort");
  const numeric = heads[column].classList.contains("num");
  const upward = before ? before === "descending" : !numeric;
  heads.forEach((head) => head.removeAttribute("aria-sort"));
  heads[column].setAttribute("aria-sort", upward ? "ascending" : "descending");
  const value = (row) => row.cells[column].dataset.value;
  const rows = [...table.tBodies[0].rows].sort((a, b) => {
    if (value(a) === "" || value(b) === "") return (value(a) === "") - (value(b) === "");
    return (upward ? 1 : -1) * (Number(value(a)) - Number(value(b)));
  });
  table.tBodies[0].append(...rows);
}

function copying() {
  const button = byId("copy");
  if (!button) return;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(byId("command").textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(byId("command"));
      button.textContent = "Selected";
    }
  });
}

// Every mark of a chart carries its meaning as a label; pointing at it shows the label.
function charts() {
  for (const chart of document.querySelectorAll("svg.chart")) {
    chart.addEventListener("pointerover", (event) => {
      const label = event.target.getAttribute?.("aria-label");
      if (event.target === chart || !label) return hideTip();
      return showTip(new DOMRect(event.clientX, event.clientY - 6, 0, 12), "above", label);
    });
    chart.addEventListener("pointerleave", hideTip);
  }
}

start();
themes();
sorting();
copying();
charts();
