// Connections: the join as a table, top talkers, places, and movement between hosts.

function connectionsPanel() {
  const list = table({ name: "connections", label: "connections with their process", detail: connectionDetail, onsearch: (text) => draw(text), columns: [
    { key: "t", label: "time (UTC)", kind: "time" },
    { key: "host", label: "host", kind: "host" },
    { key: "user_account", label: "user", kind: "mid" },
    { key: "process_path", label: "process", kind: "mid", find: (r) => r.process_path, show: (r) => h("span", { title: shown(r.process_path || "") }, base(r.process_path)) },
    { key: "process_command_line", label: "command line", kind: "long", show: (r) => h("span", { class: "cut code" }, r.process_command_line ?? "–") },
    { key: "dst_ip_addr", label: "to", kind: "mid", show: (r) => [r.dst_ip_addr ?? "–", r.dst_host_name && r.dst_host_name !== "-" ? [h("br"), h("span", { class: "hint" }, r.dst_host_name)] : null] },
    { key: "dst_port", label: "port", kind: "number", show: (r) => r.dst_port ?? "–" },
  ] });
  const talkers = table({ name: "talkers", label: "top talkers", page: 15, columns: ranking([
    { key: "host", label: "host", kind: "mid" }, { key: "process_path", label: "process", kind: "mid", show: (r) => h("span", { title: shown(r.process_path || "") }, base(r.process_path)) }, { key: "user_account", label: "user", kind: "mid" },
    { key: "dst_ip_addr", label: "to", kind: "mid" }, { key: "dst_port", label: "port", kind: "number", show: (r) => r.dst_port ?? "–" }], "connects") });
  const destinations = table({ name: "destinations", label: "destinations", page: 10, folds: false, columns: ranking([{ key: "dst_ip_addr", label: "address", kind: "mid" }, { key: "dst_port", label: "port", kind: "number", show: (r) => r.dst_port ?? "–" }], "connects") });
  const ports = chart("Destination ports", "", "Connects by destination port");
  const movement = chart("Movement between hosts", "Connects on administration ports (22, 135, 139, 445, 3389, 5985, 5986): each line goes from the host that connected (round) to the one that was reached (square).", "Movement between hosts over time; the table below has the same");
  const moves = table({ name: "movement", label: "movement between hosts", page: 10, search: false, columns: [
    { key: "t", label: "from (UTC)", kind: "time", show: (r) => (r.t === null ? "other times" : seconds(r.t)) }, { key: "from", label: "from", kind: "mid" }, { key: "to", label: "to", kind: "mid" }, { key: "dst_port", label: "port", kind: "number", show: (r) => r.dst_port }, { key: "n", label: "connects", kind: "number" }], empty: "Nobody connected to an administration port." });
  const more = h("p", { class: "hint" });
  movement.node.append(more, moves.node);
  const map = chart("Where the connections go", "By the place of the address (--geoip).", "World map of destinations");
  const node = h("div", {},
    h("section", { class: "card tall" }, h("h2", {}, "Connections"), h("p", { class: "hint" }, "Each with the command line that made it. The filter looks at image, command line, user, address, port and host."), list.node),
    card("Top talkers", "", talkers.node),
    h("div", { class: "two" }, card("Destinations", "", destinations.node), ports.node),
    movement.node, map.node);

  async function draw(text = "") {
    const got = await view("connections", { text });
    list.update(rowsOf(got), leftOut(got, 0, "connections, the newest"));
  }

  async function update() {
    ask(["connections", "talkers", "destinations", "ports", "movement", "countries"]);
    await draw();
    const top = await view("talkers");
    talkers.update(ranked(added(cellsOf(top), ({ host, process_path, user_account, dst_ip_addr, dst_port }) => ({ host, process_path, user_account, dst_ip_addr, dst_port }))), leftOut(top));
    const places = await view("destinations");
    destinations.update(ranked(added(cellsOf(places), ({ dst_ip_addr, dst_port }) => ({ dst_ip_addr, dst_port }))), leftOut(places));
    const byPort = added(cellsOf(await view("ports")), (c) => ({ port: c.dst_port ?? "–" })).slice(0, 12);
    ports.draw((width) => byPort.length && {
      data: { values: byPort }, width, height: 22 * byPort.length, mark: { type: "bar", cornerRadiusEnd: 3 },
      encoding: { y: { field: "port", type: "nominal", sort: null, axis: { title: null } }, x: { field: "n", type: "quantitative", axis: { title: "connects", format: "~s", tickCount: 5 } },
        tooltip: [{ field: "port", title: "port" }, { field: "n", title: "connects", format: "," }] },
    });
    await drawMovement();
    const world = worldMap(placesOf(cellsOf(await view("countries"))));
    map.node.hidden = !world;
    if (world) map.draw(world);
  }

  async function drawMovement() {
    const got = cellsOf(await view("movement"));
    const names = new Map(); // address -> host; the most frequent wins
    for (const row of added(cellsOf(await view("addresses", { everything: true }), true), (c) => ({ ip: c.src_ip_addr, host: c.host })).reverse()) if (row.ip) names.set(row.ip, row.host);
    const rows = added(got, (c) => ({ b: c.b, from: c.host ?? "–", to: (c.dst_host_name !== "-" && c.dst_host_name) || names.get(c.dst_ip_addr) || c.dst_ip_addr || "–", dst_port: c.dst_port }))
      .map((r) => ({ ...r, t: r.b === null || r.b < 0 || r.b >= grid().buckets ? null : bucketStart(r.b) })).sort((a, b) => (a.t ?? Infinity) - (b.t ?? Infinity));
    moves.update(rows);
    const values = rows.filter((r) => r.t !== null && r.from !== r.to).slice(0, 400).map((r) => ({ ...r, from: shown(r.from), to: shown(r.to), dst_port: String(r.dst_port) }));
    const hosts = [...new Set(values.flatMap((r) => [r.from, r.to]))];
    fill(more, hosts.length > HOSTS ? `The first ${HOSTS} of ${number(hosts.length)} hosts; the table has all.` : "");
    const kept = new Set(hosts.slice(0, HOSTS));
    movement.draw((width) => values.length && movementSpec(values.filter((r) => kept.has(r.from) && kept.has(r.to)), [...kept], width));
  }

  return { node, update };
}

const HOSTS = 40; // that the picture of movement has

function movementSpec(values, hosts, width) {
  const y = { type: "nominal", scale: { domain: hosts }, sort: null, axis: { title: null, grid: true, labelFontSize: 12, labelLimit: Math.min(220, width / 3) } };
  const color = { field: "dst_port", type: "nominal", legend: { title: "port" } };
  const tips = [{ field: "t", type: "temporal", title: "from", format: "%Y-%m-%d %H:%M:%S", formatType: "utc" }, { field: "from", title: "from" }, { field: "to", title: "to" }, { field: "dst_port", title: "port" }, { field: "n", title: "connects", format: "," }];
  const x = X({});
  return {
    data: { values }, width, height: 30 * hosts.length,
    layer: [
      { mark: { type: "rule", strokeWidth: 2 }, encoding: { x, y: { ...y, field: "from" }, y2: { field: "to" }, color, tooltip: tips } },
      { mark: { type: "circle", size: 50, opacity: 1 }, encoding: { x, y: { ...y, field: "from" }, color, tooltip: tips } },
      { mark: { type: "point", shape: "square", filled: true, size: 110, opacity: 1 }, encoding: { x, y: { ...y, field: "to" }, color, tooltip: tips } },
    ],
  };
}

async function connectionDetail(row) {
  const found = await treeOf(row.host, row.process_guid);
  const self = found[`${(row.host || "").toLowerCase()}|${row.process_guid}`];
  const shownOf = Object.entries(row).filter(([name, value]) => !["t", "id", "also"].includes(name) && value !== null);
  return h("div", { class: "two" },
    h("div", {}, h("h4", {}, "Process tree"), self ? processTree(self, found) : h("p", { class: "hint" }, DATA.live ? "The process has no create here, and no child." : "This page has the trees of processes with alerts; `huntbeam serve` has all.")),
    h("div", {}, h("h4", {}, "Columns"), h("dl", { class: "fields" }, shownOf.map(([name, value]) => pair(name, h("span", { class: "code" }, value))))));
}
