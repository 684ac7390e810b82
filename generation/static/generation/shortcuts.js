// Keys that do something, and the sheet (?) that lists them. A page registers its own:
//   shortcut("j", words, next, { where: title, when: () => !!$("#results") });
// Keys are written as "q", "g c" (one after the other), "J" (with Shift), "ArrowLeft", "Mod+Enter" (Ctrl, or Cmd on a Mac).
import { $, announce, gettext, onNew } from "./core.js";

const AFTER_EACH_OTHER_MS = 1200;
const OFF = "shortcuts-off";
const mac = /Mac|iP(hone|ad|od)/.test(navigator.platform);
const known = [];
let begun = "", forget = null;

const single = (keys) => !keys.includes("+");
const off = () => localStorage.getItem(OFF) === "1";

/**
 * Register `keys`. `act` gets the event; without one the keys are only listed, for what listens itself.
 * `where` heads its part of the sheet; `when` says whether it can be done now; `repeat` lets a held key do it again.
 * Returns a function that takes the shortcut away.
 */
export function shortcut(keys, description, act, { where = gettext("Everywhere"), when = () => true, repeat = false } = {}) {
  const entry = { keys, description, act, where, when, repeat };
  known.push(entry);
  return () => { known.splice(known.indexOf(entry), 1); };
}

// --- listening -----------------------------------------------------------------------------------------------
const TYPING = "textarea, select, [contenteditable], input:not([type=checkbox], [type=radio], [type=button], [type=submit], [type=range])";
// What these keys do by themselves where the focus is comes first.
const OWN_KEYS = /^( |Enter|Tab|Arrow\w+|Home|End|Page\w+)$/;
const OWN_PLACES = "a[href], button, input, summary, video, audio, [role=slider], [role=listbox], [role=menu], [tabindex]:not([tabindex='-1'])";

function pressed(event) {
  const parts = [];
  if (event.ctrlKey || event.metaKey) parts.push("Mod");
  if (event.altKey) parts.push("Alt");
  if (event.shiftKey && event.key.length > 1) parts.push("Shift");
  return [...parts, event.key].join("+");
}

function allowed(event, keys) {
  if (keys !== "+" && !single(keys)) return true;
  if (off() || $("dialog:modal") || event.target.closest(TYPING)) return false;
  return !(OWN_KEYS.test(event.key) && event.target.closest(OWN_PLACES));
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing || !(event.target instanceof Element)) return;
  const keys = pressed(event);
  if (["Shift", "Control", "Alt", "Meta", "AltGraph"].includes(event.key) || !allowed(event, keys)) return;
  const found = find(`${begun} ${keys}`) || find(keys);
  const begins = !found && known.some((entry) => entry.act && entry.when() && entry.keys.startsWith(`${keys} `));
  begun = begins ? keys : "";
  clearTimeout(forget);
  if (begins) forget = setTimeout(() => { begun = ""; }, AFTER_EACH_OTHER_MS);
  if (!found || (event.repeat && !found.repeat)) return;
  event.preventDefault();
  found.act(event);
});

// The newest wins: what a page registers stands before what every page has.
const find = (keys) => known.findLast((entry) => entry.act && entry.keys === keys && entry.when());

// --- the sheet -------------------------------------------------------------------------------------------------
const NAMES = {
  ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Mod: mac ? "⌘" : gettext("Ctrl"), Alt: gettext("Alt"),
  Shift: gettext("Shift"), Enter: gettext("Enter"), Escape: gettext("Esc"), " ": gettext("Space"), Home: gettext("Home"), End: gettext("End"),
};

function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

function caps(keys) {
  const one = (key) => (/^[A-Z]$/.test(key) ? ["Shift", key] : [key]);
  const names = keys === " " ? [" "] : keys.split(" ").flatMap((step) => (step === "+" ? ["+"] : step.split("+").flatMap(one)));
  return names.map((name) => element("kbd", NAMES[name] || name));
}

function list() {
  const parts = new Map();
  known.filter((entry) => entry.when()).forEach((entry) => {
    if (!parts.has(entry.where)) parts.set(entry.where, []);
    parts.get(entry.where).push(element("div", element("dt", ...caps(entry.keys)), element("dd", entry.description)));
  });
  $("#shortcuts-list").replaceChildren(...[...parts].map(([where, rows]) => element("section", element("h3", where), element("dl", ...rows))));
}

function open() {
  list();
  $("#shortcuts-on").checked = !off();
  $("#shortcuts").showModal();
}

onNew((root) => root.querySelectorAll("[data-shortcuts]").forEach((button) => {
  button.hidden = false;
  button.addEventListener("click", () => { button.closest("details")?.removeAttribute("open"); open(); });
}));
$("#shortcuts-on")?.addEventListener("change", (event) => {
  if (event.target.checked) localStorage.removeItem(OFF); else localStorage.setItem(OFF, "1");
  announce(event.target.checked ? gettext("Single-key shortcuts are on") : gettext("Single-key shortcuts are off"));
});

// --- what every page has ------------------------------------------------------------------------------------------
const there = (selector) => () => !!$(selector);
function go(keys, description, selector, act) {
  shortcut(keys, description, () => act($(selector)), { when: there(selector) });
}

if ($("#shortcuts")) shortcut("?", gettext("Show the keyboard shortcuts"), open);
go("g c", gettext("Create a video"), "[data-go=create]", (link) => link.click());
go("g l", gettext("Go to the library"), "[data-go=library]", (link) => link.click());
go("q", gettext("Open or close the queue"), "[data-queue-toggle]", (button) => button.click());
go("/", gettext("Search"), "[data-search], input[type=search]", (field) => { field.focus(); field.select(); });
