// Charts by Vega-Lite, drawn as SVG. Its expressions are interpreted (no eval), its tooltips are text.

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const CATEGORIES = ["c1", "c2", "c3", "c4", "c5", "c6", "c7", "c9", "c8"];
const kindScale = (kinds) => ({ domain: kinds, range: kinds.map((kind, at) => colour(kind === "others" ? "c8" : CATEGORIES[at])) });
const levelScale = () => ({ domain: LEVELS, range: LEVELS.map(colour) });

function theme() {
  const [ink, soft, line] = ["ink", "soft", "line"].map(colour);
  return {
    background: "transparent",
    aria: false,
    font: "system-ui, Segoe UI, Roboto, Helvetica Neue, Arial, sans-serif",
    axis: { labelColor: soft, titleColor: soft, gridColor: line, domainColor: line, tickColor: line, labelFontSize: 11, titleFontSize: 11, titleFontWeight: "normal", labelLimit: 220 },
    legend: { labelColor: ink, titleColor: soft, orient: "bottom", columns: Math.max(1, Math.floor(innerWidth / 240)), symbolType: "square", labelLimit: 260, labelFontSize: 12 },
    header: { labelColor: ink, titleColor: soft },
    view: { stroke: null },
    range: { category: CATEGORIES.map(colour) },
    mark: { color: colour("c1") },
    text: { color: ink },
  };
}

const charts = new Set();

// A figure with a caption; draw(spec) draws it, with a width that follows the page's.
function chart(title, hint, label) {
  const place = h("div", { "aria-hidden": "true" }); // its parts say nothing that the label and the tables do not
  const node = h("figure", { class: "card" }, h("figcaption", {}, h("h2", {}, title), hint && h("p", { class: "hint" }, hint)), h("div", { class: "chart", role: "img", "aria-label": label || title }, place));
  const one = { node, place, label: label || title, make: null, view: null };
  let running = Promise.resolve();
  one.draw = (make, listen) => {
    one.make = make;
    one.listen = listen;
    running = running.then(() => paint(one)).catch((error) => console.error(error));
    return running;
  };
  charts.add(one);
  return one;
}

async function paint(one) {
  const width = Math.floor(one.place.clientWidth);
  if (!one.make || width < 50) return;
  one.width = width;
  const made = one.make(width);
  if (!made) {
    fill(one.place, h("p", { class: "hint" }, "Nothing in this span."));
    return;
  }
  const spec = { description: one.label, $schema: "https://vega.github.io/schema/vega-lite/v6.json", autosize: { type: made.vconcat ? "pad" : "fit-x", contains: "padding" }, ...made };
  if (one.view) one.view.finalize();
  const result = await huntbeamVega.vegaEmbed(one.place, spec, {
    mode: "vega-lite", ast: true, renderer: "svg", actions: false, defaultStyle: false, hover: false, tooltip, config: theme(), logLevel: 1,
    loader: { load: () => Promise.reject(new Error("nothing is loaded")), sanitize: () => Promise.reject(new Error("no links")) },
  });
  one.view = result;
  if (one.listen) one.listen(result.view);
}

const repaint = delayed(150, () => charts.forEach((one) => one.place.isConnected && one.place.clientWidth !== one.width && one.draw(one.make, one.listen)));
const repaintAll = () => Promise.all([...charts].filter((one) => one.make).map((one) => one.draw(one.make, one.listen)));
addEventListener("resize", repaint);

function tooltip(_handler, event, _item, value) {
  const tip = document.getElementById("tip");
  tip.hidden = value === null || value === undefined || value === "";
  if (tip.hidden) return;
  const lines = typeof value === "object" ? Object.entries(value) : [["", value]];
  fill(tip, lines.map(([name, text]) => h("div", {}, name && h("b", {}, name), text)));
  tip.style.left = `${Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8)}px`;
  tip.style.top = `${Math.min(event.clientY + 12, innerHeight - tip.offsetHeight - 8)}px`;
}

// Time from left to right; bars reach from `t` to `end`.
const BARS = { bin: "binned", field: "t" };
// (Plain numbers in a domain become dates that the interpreter does not know.)
const over = (from, to) => ({ type: "utc", domain: { expr: `[${from}, ${to}]` } });
const X = (extra) => ({ field: "t", type: "temporal", scale: over(span.since ?? grid().start, span.until ?? gridEnd()), axis: { title: null, format: axisFormat(), labelOverlap: true, tickCount: Math.max(3, Math.floor(innerWidth / 140)) }, ...extra });
function axisFormat() {
  const length = grid().width * grid().buckets;
  if (length > 4 * 864e5) return "%d %b";
  return length > 864e5 ? "%d %b %H:%M" : length > 6e5 ? "%H:%M" : "%H:%M:%S";
}

// Shares of a whole, as a ring with its legend.
function pie(rows, field, title) {
  if (!rows.length) return null;
  const kept = rows.slice(0, 8);
  const rest = sumOf(rows.slice(8));
  const values = rest ? [...kept, { [field]: "others", n: rest }] : kept;
  return {
    data: { values: values.map((row) => ({ what: shown(row[field] ?? "–"), n: row.n })) },
    height: 190,
    mark: { type: "arc", innerRadius: 45, outerRadius: 85, stroke: colour("card"), strokeWidth: 2 },
    encoding: {
      theta: { field: "n", type: "quantitative", stack: true },
      order: { field: "n", sort: "descending" },
      color: { field: "what", type: "nominal", sort: null, legend: { title: null, orient: "right", columns: 1, labelLimit: 150 } },
      tooltip: [{ field: "what", title }, { field: "n", title: "events", format: "," }],
    },
  };
}

// A world map of circles; the land is in the page.
const LAND = JSON.parse(document.getElementById("land").textContent);
function worldMap(rows) {
  const places = rows.filter((row) => Number.isFinite(row.latitude) && Number.isFinite(row.longitude));
  if (!places.length) return null;
  return (width) => ({
    width,
    height: Math.round(width * 0.48),
    projection: { type: "equalEarth" },
    layer: [
      { data: { values: LAND }, mark: { type: "geoshape", fill: colour("line"), stroke: colour("card"), strokeWidth: 0.5 } },
      {
        data: { values: places.map((row) => ({ ...row, country: shown(row.country ?? "–") })) },
        mark: { type: "circle", color: colour("c5"), opacity: 0.75, stroke: colour("card") },
        encoding: {
          longitude: { field: "longitude", type: "quantitative" },
          latitude: { field: "latitude", type: "quantitative" },
          size: { field: "n", type: "quantitative", scale: { range: [40, 900] }, legend: null },
          tooltip: [{ field: "country", title: "country" }, { field: "n", title: "connections", format: "," }],
        },
      },
    ],
  });
}
// The places of a cube of countries, each in the middle of its addresses.
function placesOf(cells) {
  const places = new Map();
  for (const cell of cells) {
    const place = places.get(cell.country) || { country: cell.country, n: 0, located: 0, latitude: 0, longitude: 0 };
    for (const name of ["n", "located", "latitude", "longitude"]) place[name] += cell[name] || 0;
    places.set(cell.country, place);
  }
  return [...places.values()].map((p) => ({ ...p, latitude: p.latitude / p.located, longitude: p.longitude / p.located })).sort((a, b) => b.n - a.n);
}
