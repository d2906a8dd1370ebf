"use strict";
// What the page is made with: elements, numbers, times, CSV. Values of events only ever become text nodes.

const DATA = JSON.parse(document.getElementById("data").textContent);

function h(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  put(node, children);
  return node;
}

function put(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(shown(child)));
  }
  return node;
}

function fill(node, ...children) {
  node.replaceChildren();
  return put(node, children);
}

// Characters that reorder or hide text are written out, so that a line reads as it is.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
const shown = (value) => String(value).replace(HIDDEN, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));

const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
const SMALL = new Intl.NumberFormat("en", { maximumSignificantDigits: 2 });
const number = (n) => (n === null || n === undefined ? "–" : n && Math.abs(n) < 0.1 ? SMALL.format(n) : NUMBER.format(n));
const percent = (part, whole) => (whole ? `${(Math.floor((1000 * part) / whole) / 10).toFixed(1)} %` : "–");
const bytes = (n) => {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  for (; n >= 1000 && at < units.length - 1; at += 1) n /= 1000;
  return `${NUMBER.format(Math.round(n * 10) / 10)} ${units[at]}`;
};
const iso = (t) => new Date(t).toISOString();
const time = (t) => (t === null || t === undefined ? "no time" : iso(t).replace("T", " ").replace("Z", ""));
const seconds = (t) => time(t).replace(/\.\d+$/, "");
const plural = (n, one, many) => `${number(n)} ${n === 1 ? one : many || one + "s"}`;
const base = (path) => (path ? String(path).split(/[\\/]/).pop() : "");

// How far a clock is off, in words.
function duration(ms) {
  const units = [["d", 864e5], ["h", 36e5], ["min", 6e4], ["s", 1e3], ["ms", 1]];
  const [unit, size] = units.find(([, size]) => Math.abs(ms) >= size) || ["ms", 1];
  return `${NUMBER.format(Math.round((10 * Math.abs(ms)) / size) / 10)} ${unit}`;
}

// A spreadsheet takes what begins with these for a formula; an apostrophe makes it text. Every cell is quoted.
const FORMULA = /^[\s\u00a0\ufeff"']*[=+\-@\uff1d\uff0b\uff0d\uff20\t\r]/;
function csvCell(value) {
  if (value === null || value === undefined) return '""';
  if (typeof value === "number") return String(value);
  let text = typeof value === "object" ? JSON.stringify(value) : String(value);
  if (FORMULA.test(text)) text = "'" + text;
  return '"' + text.replaceAll('"', '""') + '"';
}
const csv = (columns, rows) => [columns, ...rows].map((row) => row.map(csvCell).join(",") + "\r\n").join("");

function download(name, text) {
  const link = h("a", { href: URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv" })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const LEVELS = ["critical", "high", "medium", "low", "informational", "none"];
const levelOf = (level) => (LEVELS.includes(String(level).toLowerCase()) ? String(level).toLowerCase() : "none");
const badge = (level) => h("span", { class: `badge ${levelOf(level)}` }, level || "none");

// Only links that lead to the web, and none that runs something.
function link(address, text) {
  const safe = /^https?:\/\//i.test(String(address));
  return safe ? h("a", { href: address, rel: "noreferrer noopener", target: "_blank" }, text || address) : h("span", {}, text || address);
}
const attackLink = (id) =>
  link(/^T\d{4}(\.\d{3})?$/.test(id) ? `https://attack.mitre.org/techniques/${id.replace(".", "/")}/` : "", `${id} ${techniqueName(id)}`.trim());
const techniqueName = (id) => (DATA.attack.techniques[String(id).slice(0, 5)] || ["", []])[0];

function delayed(ms, act) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => act(...args), ms);
  };
}
