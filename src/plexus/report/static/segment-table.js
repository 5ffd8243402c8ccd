// The table of images: filtered and sorted as data; only the first rows become elements, more on demand.
const STEP = 200;
const table = { key: "dice", upward: true, most: STEP };
const words = new Intl.Collator("en", { numeric: true });
const CELLS = {
  name: (row) => row.name, group: (row) => row.group ?? NONE, fold: (row) => (known(row.fold) ? whole(row.fold) : NONE),
  dice: (row) => decimal(row.dice, 3), presence: (row) => percent(row.presence), truth_area: (row) => percent(row.truth_area),
  area: (row) => percent(row.area) + (row.emptied ? " (emptied)" : ""), hausdorff95: (row) => decimal(row.hausdorff95, 1),
};
const WHICH = {
  all: () => true,
  present: (row) => row.truth_area > 0,
  empty: (row) => row.truth_area === 0,
  missed: (row) => row.truth_area > 0 && row.area === 0,
  false: (row) => row.truth_area === 0 && row.area > 0,
  emptied: (row) => row.emptied,
};

function found() {
  const query = byId("query").value.toLowerCase().split(/\s+/).filter(Boolean);
  const text = (row) => `${row.name}\n${row.group ?? ""}`.toLowerCase();
  const fits = data.images.filter((row) => WHICH[byId("which").value](row) && query.every((word) => text(row).includes(word)));
  const { key, upward } = table;
  const compare = (a, b) => (typeof a === "string" ? words.compare(a, b) : a - b);
  return fits.sort((a, b) => {
    if (a[key] === null || b[key] === null) return (a[key] === null) - (b[key] === null);
    return (upward ? 1 : -1) * compare(a[key], b[key]) || words.compare(a.name, b.name);
  });
}

function fill() {
  const all = found();
  const rows = all.slice(0, table.most).map((row) =>
    make("tr", {}, ...Object.entries(CELLS).map(([key, text]) => make("td", { class: key === "name" || key === "group" ? "" : "num" }, text(row)))));
  byId("cases").tBodies[0].replaceChildren(...rows);
  for (const head of byId("cases").tHead.rows[0].cells) {
    if (head.dataset.key === table.key) head.setAttribute("aria-sort", table.upward ? "ascending" : "descending");
    else head.removeAttribute("aria-sort");
  }
  byId("more").hidden = all.length <= table.most;
  byId("found").textContent = `${plural(all.length, "image")}${all.length > rows.length ? `, the first ${whole(rows.length)} shown` : ""}`;
}

function listImages() {
  if (!byId("cases")) return;
  for (const id of ["filters", "table"]) byId(id).hidden = false;
  const again = (changes) => { Object.assign(table, changes); fill(); };
  byId("which").addEventListener("change", () => again({ most: STEP }));
  byId("query").addEventListener("input", () => again({ most: STEP }));
  byId("more").addEventListener("click", () => again({ most: table.most + STEP }));
  for (const head of byId("cases").tHead.rows[0].cells) {
    const { key } = head.dataset;
    const first = key === "dice" || !head.classList.contains("num"); // names from the first, the worst Dice first, other figures from the largest
    head.querySelector("button").addEventListener("click", () => again({ key, upward: table.key === key ? !table.upward : first, most: STEP }));
  }
  fill();
}

listImages();
