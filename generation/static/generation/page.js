// What every page gains with scripts.
import { $, $$, announce, calm, gettext, onNew } from "./core.js";

onNew((root) => {
  $$("[data-copy]", root).forEach((button) => { button.hidden = !navigator.clipboard; });
  $$("[data-script], [data-examples]", root).forEach((part) => { part.hidden = false; });
  $$("time[data-time]", root).forEach(localTime);
  $$("[data-count]", root).forEach((count) => {
    const field = document.getElementById(count.dataset.count);
    const show = () => { count.textContent = `${[...field.value].length} / ${count.dataset.max}`; };
    field.addEventListener("input", show);
    show();
  });
  $$("details[data-keep-open]", root).forEach((details) => {
    const key = `open:${details.dataset.keepOpen}`;
    if (sessionStorage.getItem(key)) details.open = true;
    details.addEventListener("toggle", () => {
      if (details.open) sessionStorage.setItem(key, "1"); else sessionStorage.removeItem(key);
    });
  });
  if (calm.matches) $$("video[autoplay]", root).forEach((video) => { video.autoplay = false; video.pause(); });
});

function localTime(time) {
  const date = new Date(time.dateTime);
  if (Number.isNaN(date.getTime())) return;
  const year = date.getFullYear() === new Date().getFullYear() ? undefined : "numeric";
  const day = { day: "numeric", month: "short", year };
  const clock = { hour: "numeric", minute: "2-digit" };
  const style = { day, clock }[time.dataset.time] || { ...day, ...clock };
  time.title = date.toString();
  time.textContent = new Intl.DateTimeFormat(document.documentElement.lang, style).format(date);
}

document.addEventListener("click", (event) => {
  const copy = event.target.closest("[data-copy]");
  if (copy) copyText(copy);
  $$("details[data-menu][open]").forEach((menu) => { if (!menu.contains(event.target)) menu.open = false; });
});

document.addEventListener("keydown", (event) => {
  const menu = $("details[data-menu][open]");
  if (event.key === "Escape" && menu) { menu.open = false; $("summary", menu).focus(); }
});

async function copyText(button) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText($(button.dataset.copy).textContent.trim());
    button.textContent = gettext("Copied");
    announce(gettext("Copied"));
    setTimeout(() => { button.textContent = label; }, 2000);
  } catch {
    getSelection().selectAllChildren($(button.dataset.copy));
  }
}

// --- forms: ask before what cannot be undone, and send once ---------------------------------------------------
const labels = new WeakMap();  // what stood on a button that is busy

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.confirm && !form.dataset.agreed) {
    event.preventDefault();
    ask(form);
    return;
  }
  const button = event.submitter?.dataset.busy ? event.submitter : $("[data-busy]", form);
  if (form.method !== "post" || !button) return;
  if (button.getAttribute("aria-busy")) { event.preventDefault(); return; }
  button.setAttribute("aria-busy", "true");
  labels.set(button, [...button.childNodes]);
  button.replaceChildren(button.dataset.busy);
});

addEventListener("pageshow", () => $$("[aria-busy]").forEach((button) => {  // back again: ready again
  button.removeAttribute("aria-busy");
  if (labels.has(button)) button.replaceChildren(...labels.get(button));
}));

function ask(form) {
  const dialog = $("#confirm");
  $("#confirm-title").textContent = form.dataset.confirm;
  $("#confirm-text").textContent = form.dataset.confirmText || "";
  $("#confirm-yes").textContent = form.dataset.confirmYes || gettext("Yes");
  dialog.returnValue = "";
  dialog.addEventListener("close", () => {
    if (dialog.returnValue !== "yes") return;
    const field = Object.assign(document.createElement("input"), { type: "hidden", name: "confirmed", value: "1" });
    form.append(field);
    form.dataset.agreed = "1";
    form.requestSubmit();
  }, { once: true });
  dialog.showModal();
}

// --- parts that are asked for every few seconds: what a person does in them is not taken away ---------------------
const busyIn = (place) => $("dialog[open]") || (getSelection().type === "Range" && place.contains(getSelection().anchorNode));
const states = (place) => new Map($$("[data-said]", place).map((part) => [part.id, part.dataset.said]));
let before = new Map();

document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.target.matches("[data-live]") && (document.hidden || busyIn(event.target))) event.preventDefault();
});
document.addEventListener("htmx:beforeSwap", (event) => {
  if (!event.target.matches("[data-live]")) return;
  if (busyIn(event.target)) event.detail.shouldSwap = false;
  before = states(event.target);
});
document.addEventListener("htmx:afterSwap", (event) => {
  // Before the browser paints, so that what was open does not flicker.
  $$("details[data-keep-open]", event.target).forEach((details) => {
    if (sessionStorage.getItem(`open:${details.dataset.keepOpen}`)) details.open = true;
  });
  if (!event.target.matches("[data-live]")) return;
  const news = [...states(event.target)].filter(([id, said]) => before.get(id) !== said).map(([, said]) => said);
  announce(news.join(". "));
});

document.addEventListener("allauth.error", (event) => {
  event.preventDefault();
  const place = $("#key-error");
  if (place) { place.hidden = false; place.textContent = gettext("That did not work. The key was not used, or this browser does not support it."); }
});

// --- installed, and without a network ---------------------------------------------------------------------------
addEventListener("load", () => navigator.serviceWorker?.register("/sw.js").catch(() => {}));  // a luxury, never a fault
