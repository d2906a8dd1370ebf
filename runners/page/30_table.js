// A table: sorted by its headers, filtered by a text, 25 rows at a time, rows that open, CSV of what is shown.

const PAGE = 25;

function table({ name, label, columns, sort, detail, search = true, onsearch, folds = true, page = PAGE, empty = "Nothing here." }) {
  const state = { rows: [], note: "", text: "", shown: page, sort: sort || null, open: new Set() };
  const body = h("tbody");
  const head = h("thead");
  const status = h("span", { class: "hint", role: "status" });
  const more = h("button", { class: "pager tool", type: "button", onclick: () => ((state.shown += 4 * page), draw()) }, "Show more");
  const input = h("input", { type: "search", placeholder: "Filter", "aria-label": `Filter ${label}`, class: "noprint" });
  input.addEventListener("input", delayed(onsearch ? 300 : 120, () => {
    state.text = input.value.trim().toLowerCase();
    state.shown = page;
    if (onsearch) onsearch(state.text);
    if (!onsearch || !DATA.live) draw();
  }));
  const save = h("button", { class: "tool", type: "button", onclick: () => download(`${name}.csv`, csv(columns.map((c) => c.key), found().map((row) => columns.map((c) => value(c, row))))) }, "CSV");
  const node = h("div", {},
    h("div", { class: "row" }, search && input, save, status),
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label },
      h("table", { class: folds ? "folds" : "" }, h("caption", { class: "visually-hidden" }, label), head, body)),
    more);

  const value = (column, row) => (column.get ? column.get(row) : row[column.key]);
  const text = (row) => columns.map((c) => c.find ? c.find(row) : value(c, row)).map((v) => (typeof v === "object" ? JSON.stringify(v) : String(v))).join("\n").toLowerCase() + (row.also ? row.also.toLowerCase() : "");

  function found() {
    let rows = state.rows;
    if (state.text && !(onsearch && DATA.live)) rows = rows.filter((row) => text(row).includes(state.text));
    if (state.sort) {
      const column = columns.find((c) => c.key === state.sort.key);
      const rank = column.rank || ((row) => value(column, row));
      rows = rows.map((row) => [rank(row), row]).sort(([a], [b]) => state.sort.down * compare(a, b)).map(([, row]) => row);
    }
    return rows;
  }

  function compare(a, b) {
    if (a === b) return 0;
    if (a === null || a === undefined) return -1;
    if (b === null || b === undefined) return 1;
    return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en");
  }

  function header(column) {
    const sorted = state.sort && state.sort.key === column.key;
    const direction = sorted ? (state.sort.down > 0 ? "ascending" : "descending") : "none";
    const act = () => {
      const first = column.kind === "number" || column.kind === "time" ? -1 : 1;
      state.sort = { key: column.key, down: sorted ? -state.sort.down : first };
      draw();
    };
    const inside = column.kind === "share" ? h("span", { class: "visually-hidden" }, "share") : h("button", { class: "plain", type: "button", onclick: act }, column.label);
    return h("th", { scope: "col", class: column.kind, "aria-sort": column.kind === "share" ? null : direction }, inside);
  }

  function cell(column, row, at, id) {
    const inside = column.show ? column.show(row) : column.kind === "number" ? number(value(column, row)) : column.kind === "time" ? time(value(column, row)) : value(column, row);
    if (at === 0 && detail) {
      const open = state.open.has(id);
      return h("td", { class: column.kind, "data-label": column.label }, h("button", { class: "plain", type: "button", "aria-expanded": String(open) }, open ? "▾ " : "▸ ", inside));
    }
    const nothing = inside === null || inside === undefined || inside === "";
    return h("td", { class: nothing || inside === "–" ? `${column.kind || ""} nothing` : column.kind, "data-label": column.label || null }, nothing ? "" : inside);
  }

  function line(row, number) {
    const id = row.id || row.event_uid || number;
    const made = h("tr", { class: detail ? `opens ${state.open.has(id) ? "open" : ""}` : null }, columns.map((column, at) => cell(column, row, at, id)));
    if (!detail) return [made];
    made.addEventListener("click", (event) => {
      if (event.target.closest("a") || String(getSelection())) return;
      if (!state.open.delete(id)) state.open.add(id);
      const focus = event.target.closest("button");
      draw();
      if (focus) body.querySelectorAll("tr.opens")[number]?.querySelector("button")?.focus();
    });
    if (!state.open.has(id)) return [made];
    const inside = h("td", { colspan: columns.length });
    Promise.resolve(detail(row)).then((node) => fill(inside, node), (error) => fill(inside, String(error)));
    return [made, h("tr", { class: "detail" }, inside)];
  }

  function draw() {
    const rows = found();
    fill(head, h("tr", {}, columns.map(header)));
    fill(body, rows.slice(0, state.shown).map(line), rows.length ? null : h("tr", {}, h("td", { colspan: columns.length, class: "hint" }, state.text ? "Nothing matches the filter." : empty)));
    more.hidden = rows.length <= state.shown;
    fill(status, `${plural(rows.length, "row")}${rows.length > state.shown ? `, ${number(state.shown)} shown` : ""}. `, state.note);
  }

  return {
    node,
    update(rows, note = "") {
      state.rows = rows;
      state.note = note;
      draw();
    },
    find(text) {
      input.value = text;
      input.dispatchEvent(new Event("input"));
    },
  };
}

// The columns of a list with a number: what, how many, and a bar of its share of the highest.
function ranking(first, label = "events") {
  return [
    ...first,
    { key: "n", label, kind: "number" },
    { key: "share", label: "", kind: "share", show: (row) => barOf(row.n, row.highest) },
  ];
}
function barOf(n, highest) {
  const bar = h("span", { class: "bar", "aria-hidden": "true" });
  bar.style.width = `${highest ? (100 * n) / highest : 0}%`;
  return bar;
}
function ranked(rows) {
  const highest = Math.max(0, ...rows.map((row) => row.n));
  return rows.map((row) => ({ ...row, highest }));
}

function card(title, hint, ...children) {
  return h("section", { class: "card" }, h("h2", {}, title), hint && h("p", { class: "hint" }, hint), ...children);
}
