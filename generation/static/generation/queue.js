// The drawer of one's own queue, and what can be done with a video that waits or is made.
import { $, $$, announce, format, gettext, ngettext } from "./core.js";
import { shortcut } from "./shortcuts.js";
import { toast } from "./toast.js";
import { isOver, live, queue, show, unfinished } from "./watch.js";

const drawer = $("#queue"), button = $("#queue-button"), body = $("#queue-body");
const onPage = drawer?.dataset.page !== undefined;  // the page of the queue shows it by itself
const wide = matchMedia("(min-width: 64rem)");
const look = () => document.dispatchEvent(new Event("i2v:look"));

// --- open and closed ------------------------------------------------------------------------------------------------
let stale = true;

function remember(open) {
  document.cookie = `queue=${open ? "open" : ""}; path=/; samesite=lax; max-age=${open ? 31536000 : 0}`;
}

function set(open, { focus = true } = {}) {
  drawer.hidden = !open;
  document.documentElement.classList.toggle("queue-open", open);
  button.setAttribute("aria-expanded", String(open));
  // On a phone it covers the page: what is under it is out of reach.
  const covers = open && !wide.matches;
  $$("main, .brand, .nav > a:not(#queue-button), .nav > details").forEach((part) => { part.inert = covers; });
  if (open && stale) fetchBody();
  if (focus) (open ? $("#queue-title") : button).focus({ preventScroll: true });
}

function toggle() {
  const open = drawer.hidden;
  remember(open && wide.matches);
  set(open);
}

let turn = 0;
async function fetchBody() {
  const mine = ++turn;
  stale = true;
  if (!navigator.onLine) return;
  try {
    const answer = await fetch(drawer.dataset.part, { cache: "no-store" });
    if (answer.status !== 200) throw new Error(answer.status);
    const html = await answer.text();
    if (mine !== turn) return;
    stale = false;
    swap(html);
  } catch {
    if (mine === turn) sayThatItFailed();
  }
}

function swap(html) {
  const held = body.contains(document.activeElement) && document.activeElement;
  const where = held && { id: held.closest("[data-queue-job]")?.dataset.queueJob, act: held.closest("form")?.dataset };
  body.innerHTML = html;
  if (where) refocus(where);
}

// What was shown before stays; where there was nothing yet, one can try again.
function sayThatItFailed() {
  if (!$(".ghost", body)) return;
  const words = Object.assign(document.createElement("p"), { className: "muted", textContent: gettext("The queue could not be read.") });
  const again = Object.assign(document.createElement("button"), { className: "button", type: "button", textContent: gettext("Try again") });
  again.addEventListener("click", fetchBody);
  const box = Object.assign(document.createElement("div"), { className: "queue-empty ghost" });
  box.append(words, again);
  body.replaceChildren(box);
}

// What had the focus keeps it, wherever it stands now.
function refocus({ id, act }) {
  const row = id && $(`[data-queue-job="${CSS.escape(id)}"]`, body);
  const kinds = act ? [`${act.queueAct}"][data-to="${act.to}`, act.queueAct, "undo", "cancel"] : [];
  const found = row && (kinds.map((kind) => $(`form[data-queue-act="${kind}"] button:not([disabled])`, row)).find(Boolean) || $(".queue-prompt", row));
  const other = act?.queueAct === "pause" && $('form[data-queue-act="pause"] button', body);
  (found || other || $("#queue-title"))?.focus({ preventScroll: true });
  found?.scrollIntoView({ block: "nearest" });
}

let planned = null;
function fetchSoon() {  // several things happen at once; one look is enough
  stale = true;
  if (drawer.hidden && !onPage) return;
  clearTimeout(planned);
  planned = setTimeout(fetchBody, 150);
}

// --- the button: how many, and how far -------------------------------------------------------------------------------
const ring = $("#queue-ring"), count = $("#queue-count");

function showButton({ many, share, paused }) {
  count.textContent = many || "";
  ring.style.setProperty("--share", many ? Math.max(share, 0.04) : 0);
  button.classList.toggle("paused", paused);
  const words = many ? format(ngettext("Queue: %(count)s video", "Queue: %(count)s videos", many), { count: many }) : gettext("Queue");
  button.setAttribute("aria-label", paused ? format(gettext("%(queue)s, paused"), { queue: words }) : words);
}

function summary() {
  const jobs = [...unfinished.values()];
  const share = jobs.length ? jobs.reduce((sum, job) => sum + (job.progress || 0), 0) / jobs.length : 0;
  return { many: jobs.length, share, paused: queue.paused };
}

function told() {
  const now = summary();
  sessionStorage.setItem("queue", JSON.stringify(now));
  showButton(now);
}

// --- what is heard ----------------------------------------------------------------------------------------------------
function heard({ detail: job }) {
  told();
  const row = $(`#queue-body [data-queue-job="${CSS.escape(job.id)}"]`);
  const other = !row || row.dataset.status !== job.status || Boolean(row.dataset.cancelling) !== Boolean(job.cancel_at) || (job.preview_at && !$("[data-frame-picture]", row));
  if (other) fetchSoon(); else show(row, job);
}

function heardQueue({ detail }) {
  told();
  const shown = $$("#queue-unfinished [data-queue-job]").map((row) => row.dataset.queueJob);
  if (String(shown) !== String(detail.order) || $("#queue-body [data-paused]")?.dataset.paused !== String(detail.paused)) fetchSoon();
}

function showLive() {
  $$("[data-when-live]").forEach((part) => { part.hidden = part.dataset.whenLive !== live.state; });
  if (stale && live.state !== "offline") fetchSoon();
}

// --- doing something --------------------------------------------------------------------------------------------------
async function send(url, data, token) {
  const headers = { Accept: "application/json", "X-CSRFToken": token };
  if (!(data instanceof FormData)) headers["Content-Type"] = "application/json";
  const answer = await fetch(url, { method: "POST", body: data, headers });
  if (answer.ok) return;
  const told = await answer.json().catch(() => null);
  throw new Error(told?.error?.message || gettext("That did not work. Try again."));
}

const token = () => $("[name=csrfmiddlewaretoken]")?.value || "";

const done = {
  cancel(form) {
    const undo = async () => { await send(form.dataset.undo, new FormData(), token()); after(gettext("It goes on.")); };
    toast(format(gettext("Cancelling “%(prompt)s”"), { prompt: form.dataset.prompt }), { undo, seconds: Number(form.dataset.seconds) });
  },
  undo: () => announce(gettext("It goes on.")),
  move: (form) => announce(form.dataset.said),
  retry: () => toast(gettext("It is made again.")),
  pause: () => announce(queue.paused ? gettext("Your queue goes on.") : gettext("Your queue is paused.")),
};

function after(words) {
  if (words) announce(words);
  fetchSoon();
  look();
}

async function act(form) {
  if (form.getAttribute("aria-busy")) return;
  form.setAttribute("aria-busy", "true");
  try {
    const { api } = form.dataset;  // where the page's own answer would be another page
    await send(api || form.action, api ? "{}" : new FormData(form), token());
    done[form.dataset.queueAct]?.(form);
  } catch (problem) {
    toast(navigator.onLine ? problem.message : gettext("You are offline. Try again when you are back."));
  } finally {
    form.removeAttribute("aria-busy");
    after();
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-queue-act]");
  if (!form) return;
  event.preventDefault();
  act(form);
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && drawer && !onPage && !drawer.hidden && !event.defaultPrevented && (drawer.contains(event.target) || !wide.matches)) {
    event.preventDefault();
    remember(false);
    set(false);
    return;
  }
  const row = event.altKey && event.target.closest?.("[data-queue-job]");
  const to = { ArrowUp: "up", ArrowDown: "down" }[event.key];
  if (!row || !to) return;
  event.preventDefault();
  const form = $(`form[data-queue-act="move"][data-to="${to}"]`, row);
  if (form && !$("button", form).disabled) { $("button", form).focus(); form.requestSubmit(); }
});

// --- the page begins ----------------------------------------------------------------------------------------------------
function openable() {
  button.setAttribute("role", "button");
  button.setAttribute("aria-controls", "queue");
  button.addEventListener("click", (event) => { event.preventDefault(); toggle(); });
  button.addEventListener("keydown", (event) => { if (event.key === " ") { event.preventDefault(); toggle(); } });
  $("#queue-close").addEventListener("click", () => { remember(false); set(false); });
  $("#queue-cover").addEventListener("click", () => set(false));
  wide.addEventListener("change", () => { if (!drawer.hidden) set(true, { focus: false }); });
  shortcut("q", gettext("Open or close the queue"), toggle);
  const open = drawer.hasAttribute("data-remembered") && wide.matches;
  drawer.toggleAttribute("data-quiet", open);
  set(open, { focus: false });
  drawer.removeAttribute("data-remembered");
}

if (drawer && button) {
  document.addEventListener("i2v:job", heard);
  document.addEventListener("i2v:gone", () => { told(); fetchSoon(); });
  document.addEventListener("i2v:queue", heardQueue);
  document.addEventListener("i2v:reset", fetchSoon);
  document.addEventListener("i2v:live", showLive);
  const before = JSON.parse(sessionStorage.getItem("queue") || "null");
  if (before) showButton(before);
  if (!onPage) openable();
  shortcut("Alt+ArrowUp", gettext("Move a waiting video up"), null, { where: gettext("Queue") });
  shortcut("Alt+ArrowDown", gettext("Move a waiting video down"), null, { where: gettext("Queue") });
}
