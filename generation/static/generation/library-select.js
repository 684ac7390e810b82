// Several videos of the library at once: by mouse, by finger, by keyboard alone.
import { $, $$, announce, format, gettext, ngettext, onNew } from "./core.js";
import { shortcut } from "./shortcuts.js";
import { toast } from "./toast.js";

const WHERE = gettext("Library");
const selected = new Set();  // ids; a card that is drawn anew finds itself here again
let anchor = null;  // where a range begins

const boxes = () => $$("[data-pick]");
const boxOf = (element) => $("[data-pick]", element?.closest(".card") ?? undefined);

// --- what is selected --------------------------------------------------------------------------------------------
function choose(box, on) {
  box.checked = on;
  if (on) selected.add(box.value); else selected.delete(box.value);
}

function tell() {
  const form = $("#selection"), bar = $("[data-select-bar]");
  if (!bar) return;
  const count = selected.size;
  bar.classList.toggle("idle", !count);
  form.classList.toggle("selecting", !!count);
  form.classList.toggle("selecting-room", !!count);
  const words = format(ngettext("%(count)s video selected", "%(count)s videos selected", count), { count });
  $("[data-selected-count]", bar).textContent = words;
  $("#bar-compare", bar).disabled = count < 2 || count > 4;
}

function say() {
  const count = selected.size;
  announce(count ? format(ngettext("%(count)s video selected", "%(count)s videos selected", count), { count }) : gettext("Nothing selected"));
}

function range(from, to) {
  const all = boxes(), ends = [all.indexOf(from), all.indexOf(to)].sort((a, b) => a - b);
  if (ends[0] < 0) return;
  const within = new Set(all.slice(ends[0], ends[1] + 1));
  all.forEach((box) => choose(box, within.has(box)));
}

function selectAll() { boxes().forEach((box) => choose(box, true)); tell(); say(); }
function selectNone() { boxes().forEach((box) => choose(box, false)); selected.clear(); anchor = null; tell(); say(); }

onNew((root) => {
  if (root === document || root.id === "selection" || root.querySelector?.("#selection")) {
    // Another search: only what is still there stays selected.
    const here = new Set(boxes().map((box) => box.value));
    [...selected].filter((id) => !here.has(id)).forEach((id) => selected.delete(id));
    const bar = $("[data-select-bar]");
    if (bar) {
      bar.classList.add("floating");
      $("[data-selected-hint]", bar).hidden = true;
      $$("[data-select-all], [data-select-none]", bar).forEach((button) => { button.hidden = false; });
    }
  }
  const fresh = root.matches?.(".card") ? $$("[data-pick]", root) : boxes();
  fresh.forEach((box) => { box.checked = selected.has(box.value); });
  tell();
});

// --- mouse, finger -----------------------------------------------------------------------------------------------
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-select-all]")) selectAll();
  if (event.target.closest("[data-select-none]")) selectNone();
  const box = event.target.closest("[data-pick]");
  if (!box) return;
  if (event.shiftKey && anchor?.isConnected) range(anchor, box);
  else { choose(box, box.checked); anchor = box; }
  tell();
  say();
});

// --- keyboard ----------------------------------------------------------------------------------------------------
const WAYS = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -2, ArrowDown: 2 };

function neighbour(card, way) {
  const cards = $$("#cards > .card"), at = cards.indexOf(card);
  const towards = getComputedStyle(card).direction === "rtl" ? -1 : 1;
  if (Math.abs(way) === 1) return cards[at + way * towards];
  const columns = cards.filter((other) => other.offsetTop === cards[0].offsetTop).length;
  return cards[at + Math.sign(way) * columns];
}

function move(event, card) {
  const next = neighbour(card, WAYS[event.key]);
  if (!next) return;
  event.preventDefault();
  const onBox = event.target.matches("[data-pick]");
  if (event.shiftKey) {
    if (!anchor?.isConnected) anchor = boxOf(card);
    range(anchor, boxOf(next));
    tell();
    say();
  }
  (onBox ? boxOf(next) : $(".card-link", next)).focus();
}

const typing = (element) => element.matches("input:not([type=checkbox]), textarea, select");

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || !(event.target instanceof Element) || $("dialog:modal")) return;
  const card = event.target.matches(".card-link, [data-pick]") ? event.target.closest(".card") : null;
  const all = (event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "a";
  if (all && boxes().length && !typing(event.target)) { event.preventDefault(); selectAll(); }
  else if (event.key === "Escape" && selected.size && !typing(event.target)) selectNone();
  else if (card && event.key in WAYS && !event.ctrlKey && !event.metaKey && !event.altKey) move(event, card);
  else if (event.target.matches(".card-link") && event.key === " ") { event.preventDefault(); boxOf(card).click(); }
  // Enter in a box would press the form's first button.
  else if (event.target.matches("[data-pick]") && event.key === "Enter") event.preventDefault();
});

for (const [keys, words] of [
  [" ", gettext("Select the video, or not")], ["Shift+ArrowRight", gettext("Select several beside each other")],
  ["Mod+a", gettext("Select all that are shown")], ["Escape", gettext("Select none")],
]) shortcut(keys, words, null, { where: WHERE, when: () => boxes().length > 0 });

// --- what was done with them -------------------------------------------------------------------------------------
document.addEventListener("i2v:said", (event) => toast(event.detail.text));

document.addEventListener("i2v:deleted", (event) => {
  const { ids, text, seconds } = event.detail;
  const away = ids.map((id) => document.getElementById(`card-${id}`)).filter(Boolean).map((card) => ({ card, before: card.nextElementSibling, list: card.parentElement }));
  const next = away.at(-1)?.before;
  away.forEach(({ card }) => card.remove());
  ids.forEach((id) => selected.delete(id));
  tell();
  (next?.isConnected ? $(".card-link", next) ?? next : $("#main"))?.focus({ preventScroll: true });
  toast(text, { seconds, undo: () => bringBack(ids, away) });
});

async function bringBack(ids, away) {
  const form = $("#selection");
  const body = new FormData();
  ids.forEach((id) => body.append("ids", id));
  const headers = { Accept: "application/json", "X-CSRFToken": $("[name=csrfmiddlewaretoken]", form).value };
  const answer = await fetch("/library/restore", { method: "POST", body, headers });
  const back = new Set(answer.ok ? (await answer.json()).ids : []);
  if (!back.size) throw new Error(gettext("It was too late: the videos are gone."));
  [...away].reverse().filter(({ card }) => back.has(card.dataset.card)).forEach(({ card, before, list }) => {
    list.insertBefore(card, before?.parentElement === list ? before : null);
  });
  // What was being made is cancelled now.
  away.filter(({ card }) => card.isConnected && card.dataset.refresh).forEach(({ card }) => htmx.ajax("GET", card.dataset.refresh, { target: card, swap: "outerHTML" }));
  announce(format(ngettext("%(count)s video is back", "%(count)s videos are back", back.size), { count: back.size }));
}
