// Monster Agent: the panels of its own dashboard.

function monsterPanel() {
  const top = (name, label, key, title) => ({ name, key, list: table({ name, label, search: false, page: 10, folds: false, columns: ranking([{ key, label: title, kind: "long", show: (r) => h("span", { class: "cut code" }, r[key] ?? "–") }]) }) });
  const lists = [top("monster_commands", "top command lines", "command", "command line"), top("monster_images", "top images", "image", "image"), top("monster_addresses", "top destination addresses", "ip", "address"), top("monster_ports", "top destination ports", "port", "port")];
  const signers = table({ name: "signers", label: "processes whose signer is not trusted", page: 10, columns: ranking([{ key: "image", label: "image", kind: "long" }, { key: "signer", label: "signer", kind: "mid", show: (r) => r.signer ?? "none" }, { key: "verified", label: "verified" }], "starts") });
  const pies = [["monster_files", "File events", "type"], ["monster_registry", "Registry events", "type"], ["monster_addresses", "Destination addresses", "ip"], ["monster_ports", "Destination ports", "port"]].map(([name, title, key]) => ({ name, key, title, figure: chart(title, "", `${title} by their share; the tables have the numbers`) }));
  const hosts = chart("Events by host and id", "", "Events by host and id");
  const ratio = chart("Sent by received, over time", "Bytes sent divided by bytes received, a line a host; above 1 a host sends more than it gets, which data that leave would.", "Ratio of bytes sent to bytes received over time by host");
  const bytesList = table({ name: "bytes", label: "bytes by host", search: false, folds: false, page: 10, sort: { key: "ratio", down: -1 }, columns: [
    { key: "host", label: "host" }, { key: "send", label: "sent", kind: "number", show: (r) => bytes(r.send) }, { key: "recv", label: "received", kind: "number", show: (r) => bytes(r.recv) }, { key: "ratio", label: "sent / received", kind: "number", show: (r) => (r.ratio === null ? "–" : number(r.ratio)) }] });
  ratio.node.append(bytesList.node);
  const map = chart("Where the connections go", "By the place of the destination’s address (--geoip).", "World map of destinations");
  const kinds = table({ name: "monster_kinds", label: "events by type", page: 8, folds: false, columns: ranking([{ key: "id", label: "id", kind: "number", show: (r) => r.id }, { key: "type", label: "event", kind: "mid", show: (r) => r.type ?? "–" }]) });
  const rows = table({ name: "monster_events", label: "Monster events", onsearch: (text) => drawRows(text), columns: [
    { key: "t", label: "time (UTC)", kind: "time" }, { key: "host_ip", label: "host", kind: "mid" }, { key: "event_id", label: "id", kind: "number", show: (r) => r.event_id }, { key: "event_type", label: "event", kind: "host", show: (r) => r.event_type ?? "–" },
    { key: "image", label: "image", kind: "mid", show: (r) => (r.image ? h("span", { title: shown(r.image) }, base(r.image)) : "–") },
    { key: "what", label: "what", kind: "long", get: (r) => r.command_line ?? (r.remote_ip ? `${r.remote_ip}:${r.remote_port ?? "–"}` : ""), show: (r) => h("span", { class: "cut code" }, r.command_line ?? (r.remote_ip ? `${r.remote_ip}:${r.remote_port ?? "–"}` : "")) },
    { key: "sha2", label: "SHA2, MD5", kind: "mid", get: (r) => [r.sha2, r.md5].filter(Boolean).join(" "), show: (r) => (r.sha2 || r.md5 ? h("span", { class: "code" }, r.sha2, h("br"), r.md5) : "–") }] });
  const node = h("div", {}, card("Events by type", "", kinds.node), h("div", { class: "two" }, lists.slice(0, 2).map((l) => card(l.list.node.querySelector("caption").textContent.replace(/^t/, "T"), "", l.list.node))),
    card("Untrusted signers", "Processes (1500) whose signer is not trusted or not Microsoft.", signers.node),
    h("div", { class: "two" }, pies.map((p) => p.figure.node)),
    h("div", { class: "two" }, lists.slice(2).map((l) => card(l.list.node.querySelector("caption").textContent.replace(/^t/, "T"), "", l.list.node))),
    hosts.node, ratio.node, map.node,
    h("section", { class: "card tall" }, h("h2", {}, "Events"), h("p", { class: "hint" }, "The filter looks at host, event, image, command line, address, SHA2 and MD5."), rows.node));

  async function drawRows(text = "") {
    const got = await view("monster_rows", { text });
    rows.update(rowsOf(got).map((row) => ({ ...row, also: row.image || "" })), leftOut(got, 0, "events, the newest"));
  }

  async function update() {
    ask(["monster_events", "monster_signers", "monster_hosts", "monster_bytes", "monster_countries", "monster_rows", ...lists.map((l) => l.name), ...pies.map((p) => p.name)]);
    const events = cellsOf(await view("monster_events"));
    kinds.update(ranked(added(events, (c) => ({ id: Number(c.id), type: c.type }))), `${plural(sumOf(events), "event")}. `);
    for (const { name, key, list } of lists) list.update(ranked(added(cellsOf(await view(name)), (c) => ({ [key]: c[key] })).slice(0, 10)));
    for (const { name, key, title, figure } of pies) {
      const rows = added(cellsOf(await view(name)), (c) => ({ [key]: c[key] }));
      figure.draw(() => pie(rows, key, title));
    }
    signers.update(ranked(added(cellsOf(await view("monster_signers")), (c) => ({ image: c.image, signer: c.signer, verified: c.verified }))));
    const counts = cellsOf(await view("monster_hosts"));
    const often = added(counts, (c) => ({ id: c.id })).slice(0, 8).map((r) => r.id);
    const bars = added(counts, (c) => ({ host: c.host, id: often.includes(c.id) ? c.id : "others" })).map((r) => ({ ...r, host: shown(r.host ?? "–") }));
    hosts.draw((width) => bars.length && {
      data: { values: bars }, width, height: 24 * new Set(bars.map((r) => r.host)).size, mark: "bar",
      encoding: { y: { field: "host", type: "nominal", sort: "-x", axis: { title: null } }, x: { field: "n", type: "quantitative", axis: { title: "events", tickCount: 6, tickMinStep: 1, format: "~s" } }, color: { field: "id", type: "nominal", scale: kindScale(bars.some((r) => r.id === "others") ? [...often, "others"] : often), legend: { title: "event id" } },
        tooltip: [{ field: "host", title: "host" }, { field: "id", title: "event id" }, { field: "n", title: "events", format: "," }] },
    });
    const traffic = cellsOf(await view("monster_bytes"));
    const sums = new Map();
    for (const c of traffic) {
      const row = sums.get(c.host) || sums.set(c.host, { host: c.host, send: 0, recv: 0 }).get(c.host);
      row.send += c.send;
      row.recv += c.recv;
    }
    bytesList.update([...sums.values()].map((r) => ({ ...r, ratio: r.recv ? r.send / r.recv : null })));
    const line = traffic.filter((c) => c.recv && c.b !== null && c.b >= 0 && c.b < grid().buckets).map((c) => ({ t: bucketStart(c.b), host: shown(c.host ?? "–"), ratio: c.send / c.recv }));
    ratio.draw((width) => line.length && {
      width, height: 180, layer: [
        { data: { values: line }, mark: { type: "line", point: true }, encoding: { x: X({}), y: { field: "ratio", type: "quantitative", axis: { title: "sent / received" } }, color: { field: "host", type: "nominal", legend: { title: null } }, tooltip: [{ field: "host", title: "host" }, { field: "ratio", title: "sent / received", format: ".2f" }] } },
        { data: { values: [{ y: 1 }] }, mark: { type: "rule", strokeDash: [6, 4], color: colour("soft") }, encoding: { y: { field: "y", type: "quantitative" } } }],
    });
    const world = worldMap(placesOf(cellsOf(await view("monster_countries"))));
    map.node.hidden = !world;
    if (world) map.draw(world);
    await drawRows();
  }
  return { node, update };
}
