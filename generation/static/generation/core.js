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
const inNumbers = (number, digits = 0) => number.toLocaleString(document.documentElement.lang, { maximumFractionDigits: digits });

export function duration(seconds) {
  if (seconds < 10) return format(gettext("%(seconds)s s"), { seconds: inNumbers(seconds, 1) });
  const whole = Math.round(seconds);
  if (whole < 60) return format(gettext("%(seconds)s s"), { seconds: whole });
  const minutes = Math.floor(whole / 60), rest = whole % 60;
  if (minutes < 60 && !rest) return format(gettext("%(minutes)s min"), { minutes });
  if (minutes < 60) return format(gettext("%(minutes)s min %(seconds)s s"), { minutes, seconds: rest });
  return format(gettext("%(hours)s h %(minutes)s min"), { hours: Math.floor(minutes / 60), minutes: minutes % 60 });
}

// English has four endings; other languages translate all four alike.
const ORDINALS = {
  one: gettext("%(number)sst in line"), two: gettext("%(number)snd in line"), few: gettext("%(number)srd in line"), other: gettext("%(number)sth in line"),
};
const ending = new Intl.PluralRules("en", { type: "ordinal" });

export function inLine(position) {
  return position === 1 ? gettext("Next in line") : format(ORDINALS[ending.select(position)], { number: position });
}

let said = "";
export function announce(text) {
  if (text && text !== said) $("#announce").textContent = said = text;
}
