// Videos in the making, live.
import { $, announce, duration, inLine } from "./core.js";

// --- a job: live by an event stream, and by asking again where that does not work --------------------------------
function live(place) {
  let source = null, timer = null, silent = 0;
  const over = (status) => ["succeeded", "failed", "cancelled"].includes(status);
  const refresh = () => place.dispatchEvent(new Event("refresh"));

  function poll(seconds) {
    clearInterval(timer);
    timer = setInterval(() => { if (!document.hidden) refresh(); }, seconds * 1000);
  }

  function stop() {
    clearInterval(timer);
    source?.close();
    source = null;
  }

  function tell(status, message, progress) {
    const quarter = Math.floor((progress || 0) * 4) * 25;
    announce(status === "rendering" && quarter ? `${message}, ${quarter} percent` : message);
    if (!over(status)) document.title = `${progress ? `${Math.floor(progress * 100)} % ` : ""}${message}`;
  }

  function show(job) {
    if (job.status !== place.dataset.status) {
      place.dataset.status = job.status;
      refresh();
      if (over(job.status)) stop();
      return;
    }
    const set = (selector, text) => { const part = $(selector, place); if (part && part.textContent !== text) part.textContent = text; };
    set("[data-message]", job.message);
    set("[data-percent]", job.status === "rendering" && job.progress ? `${Math.floor(job.progress * 100)} %` : "");
    set("[data-eta]", job.eta_s == null ? "" : `about ${duration(job.eta_s)} left`);
    set("[data-position]", job.queue_position ? ` · ${inLine(job.queue_position)}` : "");
    const bar = $("[data-bar]", place);
    if (bar && job.status !== "queued" && job.progress) bar.value = job.progress;
    tell(job.status, job.message, job.progress);
    newFrame();
  }

  function newFrame() {  // at most every two seconds, whoever asks
    const image = $("[data-frame-picture]", place);
    const now = Math.floor(Date.now() / 2000);
    if (image && image.dataset.at !== String(now)) {
      image.dataset.at = now;
      image.src = `${image.dataset.src}?at=${now}`;
    }
  }

  function listen() {
    source = new EventSource(place.dataset.events);
    const heard = (event) => {
      silent = 0;
      poll(20);  // still a look now and then: a preview frame that appears, a stream that hangs
      try { show(JSON.parse(event.data)); } catch { refresh(); }
    };
    source.addEventListener("message", heard);
    source.addEventListener("job", heard);
    source.addEventListener("gone", () => { stop(); location.assign("/library"); });
    source.addEventListener("done", () => { source?.close(); refresh(); });
    source.addEventListener("error", () => {
      silent += 1;
      poll(2.5);
      if (silent < 3 && source?.readyState !== EventSource.CLOSED) return;
      source?.close();
      source = null;
      setTimeout(() => { if (!over(place.dataset.status) && !source) listen(); }, 30_000);
    });
  }

  place.addEventListener("htmx:afterSwap", () => {
    const state = $("[data-state]", place);
    place.dataset.status = state.dataset.status;
    tell(state.dataset.status, state.dataset.words, Number($("[data-bar]", place)?.value || 0));
    if (over(state.dataset.status)) { stop(); document.title = `${state.dataset.words} · Image to Video`; }
  });
  place.addEventListener("htmx:responseError", (event) => { if (event.detail.xhr.status === 404) stop(); });
  setInterval(() => {
    const elapsed = $("[data-elapsed]", place);
    if (!elapsed) return;
    elapsed.dataset.elapsed = Number(elapsed.dataset.elapsed) + 1;
    elapsed.textContent = duration(Math.round(elapsed.dataset.elapsed));
  }, 1000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden && timer) refresh(); });
  addEventListener("pagehide", stop);
  addEventListener("pageshow", (event) => { if (event.persisted) refresh(); });
  poll(2.5);
  if (window.EventSource) listen();
}

const job = $("[data-job][data-events]");
if (job) live(job);
