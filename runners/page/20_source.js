// Where the views come from: the page itself, or `huntbeam serve`. And the span that everything follows.

const span = { since: null, until: null };
const whole = () => span.since === null && span.until === null;
let STATE = DATA; // of what is shown: grid, streams; in serve it is fetched again and again

const grid = () => STATE.grid;
const bucketStart = (b) => grid().start + b * grid().width;
const gridEnd = () => bucketStart(grid().buckets);

async function fetched(path) {
  const answer = await fetch(path, { cache: "no-store" });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error || answer.statusText);
  return body;
}

const cache = new Map(); // of serve: address -> promise; emptied when the folder has grown

async function view(name, { text = "", everything = false } = {}) {
  if (!DATA.live) return DATA.views[name];
  const query = new URLSearchParams();
  if (!everything && span.since !== null) query.set("since", span.since);
  if (!everything && span.until !== null) query.set("until", span.until);
  if (text) query.set("text", text);
  const path = `api/view/${name}?${query}`;
  if (!cache.has(path)) cache.set(path, fetched(path));
  return cache.get(path);
}

// Asks for what will be looked at soon: the server answers several at once.
const ask = (names) => names.forEach((name) => view(name).catch(() => {})); // who looks is told

function inSpan(t) {
  if (whole()) return true;
  return t !== null && (span.since === null || t >= span.since) && (span.until === null || t < span.until);
}

function bucketInSpan(b) {
  if (whole()) return true;
  if (b === null) return false;
  if (b < 0) return span.since === null;
  if (b >= grid().buckets) return span.until === null;
  return (span.since === null || bucketStart(b) >= span.since) && (span.until === null || bucketStart(b + 1) <= span.until);
}

// Rows of a table as objects, of the span.
function rowsOf(table) {
  const made = table.rows.map((row) => Object.fromEntries(table.columns.map((column, at) => [column, row[at]])));
  return DATA.live ? made : made.filter((row) => inSpan(row.t === undefined ? null : row.t));
}

// Cells of a cube as { b, numbers by name, keys by name }, of the span.
function cellsOf(table, everything = false) {
  const found = [];
  for (const [b, key, ...numbers] of table.cells) {
    if (!everything && !DATA.live && !bucketInSpan(b)) continue;
    const cell = { b };
    table.columns.forEach((column, at) => (cell[column] = table.keys[key][at]));
    table.numbers.forEach((name, at) => (cell[name] = numbers[at]));
    found.push(cell);
  }
  return found;
}

// Cells added up by what `of` says of each; sorted by the number, the highest first.
function added(cells, of, name = "n") {
  const sums = new Map();
  for (const cell of cells) {
    const key = of(cell);
    const id = JSON.stringify(key);
    const sum = sums.get(id) || { ...key, [name]: 0 };
    sum[name] += Number(cell[name] || 0);
    sums.set(id, sum);
  }
  return [...sums.values()].sort((a, b) => b[name] - a[name]);
}
const sumOf = (cells, name = "n") => cells.reduce((sum, cell) => sum + Number(cell[name] || 0), 0);

async function treeOf(host, guid) {
  if (!host || !guid) return {};
  if (!DATA.live) return DATA.trees;
  return fetched(`api/tree?${new URLSearchParams({ host: host.toLowerCase(), guid })}`);
}

// What is left out of a table is said, never silent.
function leftOut(table, kept, what) {
  if (table.rows === undefined) return table.found > table.keys.length ? `The ${number(table.keys.length)} highest of ${number(table.found)}.` : "";
  if (table.total <= table.rows.length) return "";
  const all = `${number(table.total)} ${what}`;
  return DATA.live ? `The first ${number(table.rows.length)} of ${all}; narrow the span or search.` : `In this page: ${number(table.rows.length)} of ${all}; the rest is in the files.`;
}
