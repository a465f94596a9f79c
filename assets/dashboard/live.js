// Keeps the page up to date: applies the server's events to the page, and says when none arrive.
//
// The server sends HTML that it has rendered and escaped, the same as in the page itself. This
// script puts it in place and knows nothing about its content.
import { refresh } from "./charts.js";

const { body } = document;
const notice = document.getElementById("connection");

// The server sends something at least every 10 seconds, see `beat`. A proxy can keep a dead
// connection open, so silence counts as cut off too.
const SILENCE_MS = 25_000;
const RETRY_MS = 5_000;

let source;
let heardAt = Date.now();
let connectedAt;

function connect() {
  source?.close();
  source = new EventSource(body.dataset.events);
  connectedAt = Date.now();
  source.addEventListener("snapshot", (event) => receive(event, applySnapshot));
  source.addEventListener("change", (event) => receive(event, applyChange));
  source.addEventListener("beat", heard);
  source.addEventListener("error", cutOff);
}

function heard() {
  heardAt = Date.now();
}

function receive(event, apply) {
  heard();
  apply(JSON.parse(event.data));
}

function applySnapshot({ release, parts }) {
  // Another release of the server can send other markup than this script and page know.
  if (release !== body.dataset.release) {
    location.reload();
    return;
  }
  body.classList.remove("cut-off");
  notice.textContent = "";
  refresh(replaceParts(parts));
}

function applyChange({ parts = {}, rows = [] }) {
  const changed = replaceParts(parts);
  for (const [table, id, html] of rows) {
    const tbody = document.getElementById(table);
    if (!tbody) continue;
    const old = document.getElementById(id);
    const row = html === null ? null : parse(html).content.firstElementChild;
    if (!row) old?.remove();
    else if (old) old.replaceWith(row);
    else tbody.append(row);
    changed.add(tbody);
  }
  refresh(changed);
}

// Returns the elements whose content changed.
function replaceParts(parts) {
  const changed = new Set();
  for (const [id, html] of Object.entries(parts)) {
    const element = document.getElementById(id);
    if (element && replaceContent(element, html)) changed.add(element);
  }
  return changed;
}

// Leaves equal content alone, so that a selection survives and a screen reader stays silent.
// Focus and scrolling survive a replacement, if the new content has the same element.
function replaceContent(element, html) {
  const template = parse(html);
  if (template.innerHTML === element.innerHTML) return false;
  const focused = element.contains(document.activeElement) ? document.activeElement.id : "";
  const boxes = () => [...element.querySelectorAll(".scroll")];
  const scrolled = boxes().map((box) => [box.scrollLeft, box.scrollTop]);
  element.replaceChildren(template.content);
  boxes().forEach((box, index) => box.scrollTo(...(scrolled[index] ?? [0, 0])));
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  return true;
}

// A template, because other elements drop a `<tr>` outside of a table. Its `innerHTML` is the
// browser's own spelling of the HTML, which is comparable with that of an element.
function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template;
}

function cutOff() {
  // Written once: a status that is written again is read out again.
  if (body.classList.contains("cut-off")) return;
  body.classList.add("cut-off");
  const since = new Date(heardAt).toISOString().slice(11, 19);
  notice.textContent = `Cut off since ${since} UTC: the numbers below are old. Trying again.`;
}

// EventSource tries again by itself after a lost connection, but not after an HTTP error.
function watch() {
  const now = Date.now();
  const silent = now - Math.max(heardAt, connectedAt) > SILENCE_MS;
  const closed = source.readyState === EventSource.CLOSED && now - connectedAt > RETRY_MS;
  if (silent) cutOff();
  if (closed) retry();
  else if (silent) connect();
}

// A dashboard that was started again does not know this browser any more. Its page says what to do.
async function retry() {
  connectedAt = Date.now();
  const answer = await fetch(location, { cache: "no-store" }).catch(() => undefined);
  if (answer?.status === 403) location.reload();
  else connect();
}

connect();
setInterval(watch, 1_000);
