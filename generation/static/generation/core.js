// What every script of ours uses. Without scripts every form still posts and every link still leads somewhere.

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
export const calm = matchMedia("(prefers-reduced-motion: reduce)");

// Texts come from Django's catalogue (javascript_catalog), which stands before this script on every page.
export const gettext = window.gettext ?? ((text) => text);
export const ngettext = window.ngettext ?? ((one, many, count) => (count === 1 ? one : many));
export const format = (text, values) => text.replace(/%\((\w+)\)s/g, (_, name) => values[name]);

// Call `act` with every part of the page that is new: the whole document now, later what htmx brings in.
const enhancers = [];
export function onNew(act) {
  enhancers.push(act);
  act(document);
}
document.addEventListener("htmx:load", (event) => {
  if (event.target !== document.body) enhancers.forEach((act) => act(event.target));
});

// --- words -------------------------------------------------------------------------------------------------
export function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1).replace(/\.0$/, "")} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return whole % 60 ? `${minutes} min ${whole % 60} s` : `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function inLine(position) {
  if (position === 1) return "Next in line";
  const teen = position % 100 >= 10 && position % 100 <= 20;
  return `${position}${teen ? "th" : { 1: "st", 2: "nd", 3: "rd" }[position % 10] || "th"} in line`;
}

let said = "";
export function announce(text) {
  if (text && text !== said) $("#announce").textContent = said = text;
}
