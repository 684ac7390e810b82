// The one connection of a page that tells what becomes of a person's videos. It tells the others on `document`:
//   i2v:job {id, status, progress, message, …, was}   something about a video is new; `was`: its status before, or null
//   i2v:gone {id}      it was deleted          i2v:queue {paused, order}   the queue itself is new
//   i2v:reset          too much was missed: look at everything again
//   i2v:live {state}   "on" by a stream, "polling" where there is none, "offline"
import { $, $$, announce, duration, format, gettext, inLine } from "./core.js";
import { toast } from "./toast.js";

const place = $("#queue");
const ENDS = ["succeeded", "failed", "cancelled"];
export const isOver = (job) => ENDS.includes(job.status);
export const unfinished = new Map();  // by id, as last told
export const queue = { paused: false, order: [] };
export const live = { state: "" };

const tell = (name, detail = {}) => document.dispatchEvent(new CustomEvent(`i2v:${name}`, { detail }));

// --- what is heard, from wherever it comes -------------------------------------------------------------------------
let last = place?.dataset.since || "";

function heardJob(job) {
  const was = unfinished.get(job.id)?.status ?? null;
  if (isOver(job)) unfinished.delete(job.id); else unfinished.set(job.id, job);
  tell("job", { ...job, was });
}

function heardGone(id) {
  unfinished.delete(id);
  tell("gone", { id });
}

function heardQueue(told) {
  const lost = [...unfinished.keys()].filter((id) => !told.order.includes(id));
  lost.forEach((id) => unfinished.delete(id));
  Object.assign(queue, told);
  tell("queue", told);
  if (lost.length) tell("reset");  // it ended or went, and nobody said so
}

function settle(state) {
  if (live.state === state) return;
  const before = live.state;
  live.state = document.documentElement.dataset.live = state;
  if (state === "offline") toast(gettext("You are offline. Your videos go on; this page catches up by itself."), { seconds: 8 });
  if (before === "offline") toast(gettext("You are online again."), { seconds: 4 });
  tell("live", { state });
}

// --- the stream ------------------------------------------------------------------------------------------------------
const OPENS_WITHIN_MS = 8000, IDLE_MS = 30_000, LONGEST_PAUSE_S = 30;
let source = null, tries = 0, again = null, watchdog = null, stopped = false;

function connect() {
  clearTimeout(again);
  if (source || stopped || !window.EventSource || !navigator.onLine) return;
  const mine = source = new EventSource(`${place.dataset.events}?stay=true&since=${last}`);
  // Browsers open only a few connections to one address: the stream of one tab too many waits for ever.
  watchdog = setTimeout(() => { if (source === mine) lost(); }, OPENS_WITHIN_MS);
  const hear = (name, act) => mine.addEventListener(name, (event) => {
    if (source !== mine) return;
    clearTimeout(watchdog);
    tries = 0;
    last = event.lastEventId || last;
    settle("on");
    act(JSON.parse(event.data));
    plan();
  });
  hear("job", heardJob);
  hear("gone", ({ id }) => heardGone(id));
  hear("queue", heardQueue);
  hear("reset", () => tell("reset"));
  mine.addEventListener("error", () => { if (source === mine) lost(); });
}

function drop() {
  clearTimeout(watchdog);
  source?.close();
  source = null;
}

// The browser would come back by itself, but to an address that is good for minutes only, and without asking us.
function lost() {
  drop();
  tries += 1;
  const pause = Math.min(LONGEST_PAUSE_S, 2 ** tries) * (0.75 + Math.random() / 2);
  again = setTimeout(connect, pause * 1000);
  look();
}

// --- asking now and then ----------------------------------------------------------------------------------------------
let timer = null, asking = false, failures = 0;

async function look() {
  if (asking || stopped) return;
  asking = true;
  try {
    const answer = await fetch(`${place.dataset.live}?since=${last}`, { headers: { Accept: "application/json" }, cache: "no-store" });
    if (answer.status === 401) return stop();
    if (!answer.ok) throw new Error(answer.status);
    const told = await answer.json();
    failures = 0;
    last = told.now;
    settle(source && !tries ? "on" : "polling");
    if (told.reset) tell("reset");
    told.jobs.forEach(heardJob);
    told.gone.forEach(heardGone);
    heardQueue(told.queue);
  } catch {
    failures += 1;
    if (failures > 1 || !navigator.onLine) settle("offline");
  } finally {
    asking = false;
    plan();
  }
}

// With a stream only a look a minute, in case that it hangs; without one as often as somebody may be looking.
function plan() {
  clearTimeout(timer);
  if (stopped) return;
  const busy = unfinished.size > 0;
  let seconds = busy ? 2.5 : 20;
  if (live.state === "offline") seconds = 5;
  if (source && !tries) seconds = busy ? 60 : 600;
  if (document.hidden) seconds = Math.max(seconds, busy ? 15 : 300);
  timer = setTimeout(look, seconds * 1000);
}

function stop() {  // signed out, here or in another tab
  stopped = true;
  clearTimeout(again);
  clearTimeout(timer);
  drop();
}

// --- when to listen ---------------------------------------------------------------------------------------------------
let idle = null;

function seen() {
  clearTimeout(idle);
  if (document.hidden) {
    // The tab's title still shows what is being made; with nothing to show it needs no connection.
    idle = setTimeout(() => { if (document.hidden && !unfinished.size) { drop(); clearTimeout(again); } }, IDLE_MS);
  } else if (!source) {
    tries = 0;
    connect();
    look();
  }
}

if (place) {
  document.addEventListener("visibilitychange", seen);
  addEventListener("online", () => { tries = 0; drop(); connect(); look(); });
  addEventListener("offline", () => { drop(); clearTimeout(again); settle("offline"); plan(); });
  addEventListener("pagehide", drop);
  addEventListener("pageshow", (event) => { if (event.persisted) { tries = 0; connect(); look(); } });
  document.addEventListener("i2v:look", look);  // something was just asked for: do not wait for the next tick
  connect();
  plan();
}

// --- showing it: any part of a page with these marks -------------------------------------------------------------------
export function show(root, job) {
  const set = (selector, text) => $$(selector, root).forEach((part) => { if (part.textContent !== text) part.textContent = text; });
  set("[data-message]", job.message);
  set("[data-percent]", job.status === "rendering" && job.progress ? format(gettext("%(percent)s %"), { percent: Math.floor(job.progress * 100) }) : "");
  set("[data-eta]", job.eta_s == null || job.eta_s < 1 ? "" : format(gettext("about %(time)s left"), { time: duration(job.eta_s) }));
  set("[data-position]", job.queue_position ? inLine(job.queue_position) : "");
  $$("[data-bar]", root).forEach((bar) => {
    if (job.status !== "queued" && job.progress) bar.value = job.progress; else bar.removeAttribute("value");
  });
  newFrame(root, job);
}

function newFrame(root, job) {
  const image = $("[data-frame-picture]", root);
  if (!image || !job.preview_at || image.dataset.at === job.preview_at) return;
  image.dataset.at = job.preview_at;
  image.src = `${image.dataset.src}?at=${encodeURIComponent(job.preview_at)}`;
}

setInterval(() => {
  if (document.hidden) return;
  $$("[data-elapsed]").forEach((part) => {
    // Counted from when it was shown: timers of a tab that was away come late.
    part.began ??= Date.now() - Number(part.dataset.elapsed) * 1000;
    part.textContent = duration(Math.round((Date.now() - part.began) / 1000));
  });
}, 1000);

// --- cards in lists ------------------------------------------------------------------------------------------------------
const fetchCard = (card) => window.htmx.ajax("GET", card.dataset.refresh, { target: card, swap: "outerHTML" });
const cards = (id) => $$(`[data-job-card="${CSS.escape(id)}"]`);

document.addEventListener("i2v:job", ({ detail: job }) => cards(job.id).forEach((card) => {
  if (isOver(job) && card.dataset.refresh) fetchCard(card); else show(card, job);
}));
document.addEventListener("i2v:reset", () => $$("[data-job-card][data-refresh]").forEach(fetchCard));

// --- the page of one video -----------------------------------------------------------------------------------------------
function follow(page) {
  const id = page.dataset.job;
  const refresh = () => page.dispatchEvent(new Event("refresh"));
  let cancelling = Boolean($("[data-cancelling]", page)), framed = Boolean($("[data-frame-picture]", page));

  function say(job) {
    const quarter = Math.floor((job.progress || 0) * 4) * 25;
    announce(job.status === "rendering" && quarter ? format(gettext("%(state)s, %(percent)s percent"), { state: job.message, percent: quarter }) : job.message);
  }

  document.addEventListener("i2v:job", ({ detail: job }) => {
    if (job.id !== id) return;
    const other = job.status !== page.dataset.status || Boolean(job.cancel_at) !== cancelling || (job.preview_at && !framed);
    page.dataset.status = job.status;
    cancelling = Boolean(job.cancel_at);
    framed ||= Boolean(job.preview_at);
    if (other) { refresh(); } else if (!isOver(job)) { show(page, job); }
    say(job);
  });
  document.addEventListener("i2v:gone", ({ detail }) => { if (detail.id === id) location.assign(page.dataset.back); });
  document.addEventListener("i2v:reset", refresh);
}

const page = $("[data-job]");
if (page && !ENDS.includes(page.dataset.status)) follow(page);
