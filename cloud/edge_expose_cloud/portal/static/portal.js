// Makes pages live; every page also works without it. No framework: server-rendered fragments are swapped.
"use strict";

const csrf = () => document.querySelector('meta[name="csrf"]')?.content ?? "";

// -- a press counts where it began: nothing moves on the page while a button or a key is down --

// Some releases are never told, such as one over the list of a select. Of a pointer, the next move tells.
const LONGEST_POINTER_PRESS_MS = 30000;
const LONGEST_KEY_PRESS_MS = 3000;
let pressedUntil = 0;
let byPointer = false;
let held = [];

function release() {
  pressedUntil = 0;
  byPointer = false;
  const waiting = held;
  held = [];
  setTimeout(() => waiting.forEach((go) => go())); // after the click that a release makes
}

function released() {
  const left = pressedUntil - Date.now();
  if (left <= 0) return Promise.resolve();
  return new Promise((go) => {
    held.push(go);
    setTimeout(go, left);
  });
}

function press(pointer) {
  pressedUntil = Date.now() + (pointer ? LONGEST_POINTER_PRESS_MS : LONGEST_KEY_PRESS_MS);
  byPointer = pointer;
}

addEventListener("pointerdown", (event) => event.button === 0 && press(true), true);
addEventListener("keydown", (event) => [" ", "Enter"].includes(event.key) && press(false), true);
for (const kind of ["pointerup", "pointercancel", "keyup"]) addEventListener(kind, release, true);
addEventListener("pointermove", (event) => byPointer && event.buttons === 0 && release(), true);
addEventListener("blur", release); // of the window: those of elements do not bubble

async function fetchFragment(url, options = {}) {
  const answer = await fetch(url, { ...options, headers: { "X-Fragment": "1", ...(options.headers ?? {}) } });
  tellSession(answer.status === 401 ? "out" : "");
  return answer.ok || answer.status === 404 || answer.status === 422 ? await answer.text() : null;
}

// -- the session: it may end while a page is open; what somebody typed stays, and signing in in another tab is enough --

// When somebody was seen to be signed in; this page was made for one who is.
let seen = Date.now();
const SURE_MS = 20000;

function tellSession(trouble) {
  if (!trouble) seen = Date.now();
  const place = document.querySelector("#signed-out");
  if (!place || (place.dataset.told ?? "") === trouble) return;
  place.dataset.told = trouble;
  released().then(() => place.dataset.told === trouble && showSession(place, trouble));
}

function showSession(place, trouble) {
  place.replaceChildren();
  if (!trouble) return;
  const line = document.createElement("p");
  line.className = "banner";
  line.append(place.dataset[trouble]);
  if (trouble === "out") {
    const link = document.createElement("a");
    Object.assign(link, { href: "/sign-in", target: "_blank", rel: "noopener", textContent: place.dataset.link });
    line.append(" ", link);
  }
  place.append(line);
}

// Whether somebody is signed in; forms get the token of the session there is now.
async function signedIn() {
  const answer = await fetch("/api/session", { headers: { "X-Fragment": "1" } }).catch(() => null);
  tellSession(answer === null ? "away" : answer.status === 401 ? "out" : "");
  if (!answer?.ok) return false;
  const { csrfToken } = await answer.json();
  document.querySelector('meta[name="csrf"]').content = csrfToken;
  for (const input of document.querySelectorAll('input[name="csrf"]')) input.value = csrfToken;
  document.dispatchEvent(new Event("signed-in"));
  return true;
}

function lookAgain() {
  if (!document.hidden && document.querySelector("#signed-out")?.dataset.told) signedIn();
}

// The answer to a form whose session has ended is another page: the form is not sent while this page knows better, and
// a page that has not looked for a while, such as one that slept, looks first.
function keep(form) {
  let sure = false;
  let asking = false;
  setInterval(() => !document.hidden && signedIn(), 15000);
  form.addEventListener("submit", async (event) => {
    const told = document.querySelector("#signed-out")?.dataset.told;
    if (sure || (!told && Date.now() - seen < SURE_MS)) return;
    event.preventDefault();
    if (asking) return;
    asking = true;
    sure = await signedIn();
    asking = false;
    if (sure) form.requestSubmit(event.submitter);
    sure = false;
  });
}

// -- live sections: fetched again when the server says that something changed --

function swap(target, html) {
  const fresh = document.createElement("template");
  fresh.innerHTML = html;
  const focused = target.contains(document.activeElement) ? document.activeElement : null;
  const place = focused && placeOf(focused);
  const open = new Map(folds(target));
  const scrolled = [...target.querySelectorAll(".scroll")].map((item) => item.scrollLeft);
  target.replaceChildren(fresh.content);
  for (const [name, , item] of folds(target)) item.open = open.get(name) ?? item.open;
  [...target.querySelectorAll(".scroll")].forEach((item, index) => (item.scrollLeft = scrolled[index] ?? 0));
  furnish(target);
  if (place) [...target.querySelectorAll(place[0])][place[1]]?.focus({ preventScroll: true });
}

// [name, open, element] of what can be unfolded: by what it is about, since a changed section may have others.
function folds(target) {
  const seen = {};
  return [...target.querySelectorAll("details")].map((item) => {
    const about = item.querySelector("summary [id]")?.id ?? item.firstElementChild.textContent;
    const within = item.parentElement.closest("[id], section, li")?.id ?? "";
    seen[about + within] = (seen[about + within] ?? 0) + 1;
    return [`${within} ${about} ${seen[about + within]}`, item.open, item];
  });
}

// What changed is told to screen readers from a place that stays: a region that is itself replaced stays silent.
const statesIn = (section) =>
  new Map([...section.querySelectorAll("[data-exposure]")].map((item) => [item.dataset.exposure, item.dataset.state]));

function tellNews(before, after) {
  const news = document.querySelector("#news");
  if (!news) return;
  const lines = [];
  for (const [name, state] of after)
    if (!before.has(name)) lines.push(`${name} is new: ${state}`);
    else if (before.get(name) !== state) lines.push(`${name} is ${state} now`);
  for (const name of before.keys()) if (!after.has(name)) lines.push(`${name} is gone`);
  if (lines.length) news.textContent = lines.length > 5 ? `${lines.length} exposures changed` : lines.join(". ");
}

// The same control in the new fragment: by where it leads, else by its place among its kind.
function placeOf(element) {
  const kind = element.tagName.toLowerCase();
  const link = element.getAttribute("href");
  const selector = link ? `${kind}[href="${CSS.escape(link)}"]` : kind;
  const scope = element.closest("[data-live]");
  return [selector, [...scope.querySelectorAll(selector)].indexOf(element)];
}

// The banner stands outside of the live sections: each event says whether the hub answers.
let toldProblem = "";

function tellProblem(problem) {
  toldProblem = problem;
  released().then(() => toldProblem === problem && showProblem(problem));
}

function showProblem(problem) {
  const banner = document.querySelector("#banner");
  const text = problem ? banner.dataset.before + problem + banner.dataset.after : "";
  document.body.classList.toggle("old", Boolean(problem));
  if (banner.textContent === text) return;
  banner.replaceChildren();
  if (!text) return;
  const line = document.createElement("p");
  line.className = "banner";
  line.textContent = text;
  banner.append(line);
}

function follow(section) {
  let stream = null;
  let shown = section.innerHTML;
  let busy = false;
  let waiting = false;

  const refresh = async () => {
    if (busy) {
      waiting = true;
      return;
    }
    busy = true;
    try {
      const html = await fetchFragment(section.dataset.live);
      await released();
      if (html !== null && html !== shown) {
        shown = html;
        const before = statesIn(section);
        swap(section, html);
        tellNews(before, statesIn(section));
      }
    } catch {
      section.dataset.stale = "";
    } finally {
      busy = false;
      if (waiting) {
        waiting = false;
        refresh();
      }
    }
  };
  const start = () => {
    if (stream) return;
    stream = new EventSource(section.dataset.events);
    stream.addEventListener("changed", (event) => {
      delete section.dataset.stale;
      tellProblem(JSON.parse(event.data).problem);
      refresh();
    });
    stream.addEventListener("seen", (event) => {
      delete section.dataset.stale;
      const { at, problem } = JSON.parse(event.data);
      tellProblem(problem);
      const age = section.querySelector(".status .age");
      if (age && at) age.dataset.at = at;
    });
    stream.addEventListener("error", () => {
      section.dataset.stale = "";
      signedIn(); // which says when the portal is gone, and takes it back when it is there again
      if (stream?.readyState !== EventSource.CLOSED) return; // it tries again by itself
      stop();
      refresh(); // which tells why, when it is for want of a session
    });
  };
  const stop = () => {
    stream?.close();
    stream = null;
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : start()));
  addEventListener("pagehide", stop);
  addEventListener("pageshow", () => !document.hidden && start());
  const again = () => {
    if (document.hidden) return;
    start();
    refresh();
  };
  document.addEventListener("signed-in", again);
  // The server keeps the rows of an open fleet page fresh as long as somebody asks for them.
  setInterval(again, 20000);
  if (!document.hidden) start();
}

// -- ages tick without asking --

function ago(at) {
  if (!at) return "never";
  const seconds = Math.max(0, Math.floor(Date.now() / 1000 - at));
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]])
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit} ago`;
  return `${seconds} s ago`;
}

function tick() {
  for (const item of document.querySelectorAll(".age[data-at]")) {
    const text = (item.closest(".status") ? "read " : "") + ago(Number(item.dataset.at));
    if (item.textContent !== text) item.textContent = text;
  }
}

// -- the expose form: checked as you type --

function check(form) {
  const target = form.querySelector("#check");
  let timer = 0;
  let latest = 0;
  const run = async () => {
    const mine = ++latest;
    const token = csrf();
    const ask = () => fetchFragment(form.dataset.check, { method: "POST", body: new URLSearchParams(new FormData(form)) }).catch(() => null);
    let html = await ask();
    // Somebody signed in again elsewhere: this page's token was of the session before.
    if (html === null && (await signedIn()) && csrf() !== token) html = await ask();
    await released();
    if (mine !== latest || html === null) return;
    target.innerHTML = html;
    // What the page was refused for is said anew below, as far as it still holds.
    for (const old of document.querySelectorAll("#refused, [data-check] .hint.error")) old.remove();
    const wrong = new Set([...target.querySelectorAll(".error[data-place]")].map((item) => item.dataset.place));
    for (const input of form.querySelectorAll("input[name], select[name]"))
      if (wrong.has(input.name)) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
  };
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(run, 350);
  };
  form.addEventListener("input", later);
  form.addEventListener("change", later);
  form.querySelector("#module")?.addEventListener("change", (event) => fillPorts(form, event.target));
  if ("refused" in form.dataset) return; // it has just been checked
  if (form.querySelector('[name="name"]').value) later();
}

// Ports that the module names become the inner side of rows that nobody has touched; what is left fills free rows.
function fillPorts(form, select) {
  const ports = (select.selectedOptions[0]?.dataset.ports ?? "").split(" ").filter(Boolean);
  const rows = rowsOf(form);
  const leads = (row) => `${row.target.value}/${row.protocol.value.toLowerCase()}`;
  let left = ports.filter((port) => !rows.some((row) => leads(row) === port));
  for (const row of rows) {
    if (!row.target.value || row.target.value !== row.target.defaultValue || ports.includes(leads(row))) continue;
    const match = left.find((port) => port.endsWith(`/${row.protocol.value.toLowerCase()}`));
    if (!match) continue;
    row.target.value = match.split("/")[0];
    left = left.filter((port) => port !== match);
  }
  if (rows.some((row) => row.target.value || row.published.value)) return;
  left.forEach((port, index) => {
    const row = rowsOf(form)[index] ?? addRow(form);
    const [number, protocol] = port.split("/");
    [row.published.value, row.target.value, row.protocol.value] = [number, number, protocol.toUpperCase()];
    row.element.hidden = false;
  });
}

// -- rows of ports: those that are empty wait until somebody adds one --

function rowsOf(form) {
  return [...form.querySelectorAll("[data-row]")].map((element) => {
    const [published, target] = element.querySelectorAll("input");
    return { element, published, target, protocol: element.querySelector("select") };
  });
}

function addRow(form) {
  const rows = rowsOf(form);
  let row = rows.find(({ element }) => element.hidden);
  if (!row) {
    const last = rows.at(-1).element;
    const number = Number(last.dataset.row) + 1;
    const copy = last.cloneNode(true);
    copy.dataset.row = number;
    for (const item of copy.querySelectorAll("input, select")) {
      item.name = item.name.replace(/\d+$/, number);
      if (item.id) item.id = item.name;
      item.setAttribute("aria-label", item.getAttribute("aria-label").replace(/\d+$/, number + 1));
      if (item.tagName === "INPUT") item.value = "";
    }
    last.after(copy);
    row = rowsOf(form).at(-1);
  }
  row.element.hidden = false;
  return row;
}

function foldRows(form) {
  const button = form.querySelector("#add-port");
  if (!button) return;
  button.hidden = false;
  rowsOf(form).forEach(({ element, published, target }, index) => (element.hidden = index > 0 && !published.value && !target.value));
  button.addEventListener("click", () => addRow(form).published.focus());
}

// -- what somebody typed stays with its place in the browser's history: after Back, a reload, or a portal that was gone --

const kept = (form) => [...new FormData(form)].filter(([name]) => name !== "csrf" && name !== "base");

function remember(form) {
  const save = () => history.replaceState({ ...history.state, typed: kept(form) }, "");
  form.addEventListener("input", save);
  form.addEventListener("change", save);
  const typed = history.state?.typed;
  if (!typed) return;
  for (const [name] of typed)
    if (/^out\d+$/.test(name)) while (!form.elements[name]) addRow(form);
  for (const item of form.elements) {
    const values = typed.filter(([name]) => name === item.name).map(([, value]) => value);
    if (item.type === "radio" || item.type === "checkbox") item.checked = values.includes(item.value);
    else if (item.type !== "hidden" && item.type !== "submit" && values.length) item.value = values[0];
  }
}

// Plans and drafts are kept by the server, which forgets them when it is restarted: the browser has them as well.
const HELD = /\/(plans|drafts)\/[^/]+$/;

function hold(form) {
  if (!HELD.test(location.pathname)) return;
  const page = form.getAttribute("action").split("/").pop();
  const save = () => {
    const fields = [...new FormData(form)].filter(([name]) => name !== "csrf");
    try {
      sessionStorage.setItem(location.pathname, JSON.stringify({ page, fields }));
    } catch {
      sessionStorage.clear(); // it is full
    }
  };
  save();
  form.addEventListener("input", save);
  form.addEventListener("change", save);
}

// The page of a plan or a draft that the server no longer has.
function bringBack(form) {
  const held = JSON.parse(sessionStorage.getItem(location.pathname) ?? "null");
  if (!held) return;
  for (const [name, value] of [...held.fields, ["page", held.page]])
    form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
  const change = JSON.parse(held.fields.find(([name]) => name === "change")?.[1] ?? "{}");
  const filled = ["expose", "ranges"].includes(change.kind);
  for (const button of form.querySelectorAll("[data-form-only]")) button.hidden = !filled;
  form.hidden = false;
  document.querySelector("[data-without]").hidden = true;
}

// -- times: the reader's own, with UTC beside them --

const local = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

function localTimes(root) {
  for (const item of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(item.dateTime);
    if (!Number.isNaN(moment.getTime())) item.textContent = local.format(moment);
  }
}

// -- the map of addresses: one stop for Tab, arrows inside; folded where there is no room --

function oneStop(map) {
  const cells = [...map.querySelectorAll("a")];
  cells.forEach((cell, index) => (cell.tabIndex = index ? -1 : 0));
  map.addEventListener("keydown", (event) => {
    const at = cells.indexOf(document.activeElement);
    const columns = getComputedStyle(map).gridTemplateColumns.split(" ").length;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    const to = event.key === "Home" ? 0 : event.key === "End" ? cells.length - 1 : at + step;
    if (at < 0 || !cells[to]) return;
    event.preventDefault();
    cells[at].tabIndex = -1;
    cells[to].tabIndex = 0;
    cells[to].focus();
  });
}

function furnish(root) {
  showCopies(root);
  localTimes(root);
  for (const map of root.querySelectorAll(".map")) oneStop(map);
}

// -- copying: the button is there where the browser can --

function showCopies(root) {
  if (!navigator.clipboard) return;
  for (const button of root.querySelectorAll("button[data-copy]")) button.hidden = false;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const done = await navigator.clipboard.writeText(button.dataset.copy).then(() => true, () => false);
  const before = button.firstChild.textContent;
  button.firstChild.textContent = done ? "Copied" : "Not copied";
  setTimeout(() => (button.firstChild.textContent = before), 1500);
});

// -- start --

furnish(document);
if (matchMedia("(max-width: 720px)").matches) for (const item of document.querySelectorAll("details.roomy")) item.open = false;
for (const section of document.querySelectorAll("[data-live]")) follow(section);
for (const form of document.querySelectorAll("form[data-keep]")) {
  remember(form);
  hold(form);
  keep(form);
}
for (const form of document.querySelectorAll("form[data-lost]")) bringBack(form);
document.querySelector("form.who")?.addEventListener("submit", () => sessionStorage.clear());
for (const form of document.querySelectorAll("form[data-check]")) {
  foldRows(form);
  check(form);
}
addEventListener("focus", lookAgain);
document.addEventListener("visibilitychange", lookAgain);
for (const form of document.querySelectorAll("form[data-auto]"))
  form.querySelector("select")?.addEventListener("change", () => form.requestSubmit());
for (const item of document.querySelectorAll("[data-load]"))
  fetchFragment(item.dataset.load)
    .then((html) => html !== null && (item.innerHTML = html))
    .catch(() => {});
setInterval(tick, 1000);
