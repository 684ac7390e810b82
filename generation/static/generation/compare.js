// Videos in step: one set of controls, and the first (of the longest) that the others keep up with.
import { $, $$, announce, calm, format, gettext } from "./core.js";
import { shortcut } from "./shortcuts.js";

const WHERE = gettext("Compare");
const HARD_S = 0.25;  // further apart than this is mended by a jump, less by running a little faster or slower

function inStep(root) {
  const videos = $$("video", root), controls = $("[data-controls]", root);
  const part = (name) => $(`[data-${name}]`, controls);
  const toggleButton = part("toggle"), scrub = part("scrub"), time = part("time"), speedChoice = part("speed");
  const frame = (video) => 1 / (Number(video.dataset.fps) || 16);
  const finest = Math.min(...videos.map(frame));
  let playing = false, speed = 1;

  const length = (video) => (Number.isFinite(video.duration) ? video.duration : 0);
  const leader = () => videos.reduce((best, video) => (length(video) > length(best) + 0.001 ? video : best));
  const end = () => length(leader());
  // A shorter video waits on its last frame for the others.
  const placeIn = (video, at) => Math.max(0, Math.min(at, length(video) - frame(video) / 2));

  function show() {
    const now = leader().currentTime;
    scrub.max = end() || 1;
    scrub.value = now;
    const words = format(gettext("%(now)s of %(end)s s"), { now: now.toFixed(2), end: end().toFixed(2) });
    if (time.textContent !== words) time.textContent = words;
    scrub.setAttribute("aria-valuetext", words);
    toggleButton.textContent = playing ? toggleButton.dataset.pause : toggleButton.dataset.play;
  }

  function seek(at) {
    const wanted = Math.max(0, Math.min(at, end()));
    videos.forEach((video) => { video.currentTime = placeIn(video, wanted); });
    show();
  }

  function keepUp(first) {
    for (const video of videos) {
      if (video === first || video.seeking) continue;
      const wanted = placeIn(video, first.currentTime), behind = wanted - video.currentTime;
      const waits = wanted < first.currentTime;
      if (waits ? video.paused : Math.abs(behind) <= frame(video) / 2) { video.playbackRate = speed; continue; }
      if (waits) { video.pause(); video.currentTime = wanted; continue; }
      if (Math.abs(behind) > HARD_S) video.currentTime = wanted;
      else video.playbackRate = speed * Math.max(0.5, Math.min(2, 1 + behind * 4));
      if (video.paused) video.play().catch(() => {});
    }
  }

  function tick() {
    if (!playing) return;
    const first = leader();
    if (first.ended || first.currentTime >= end() - 0.001) {  // all begin again together
      videos.forEach((video) => { video.currentTime = 0; video.play().catch(() => {}); });
    } else keepUp(first);
    show();
    requestAnimationFrame(tick);
  }

  async function play() {
    if (leader().currentTime >= end() - finest) seek(0);
    playing = true;
    const begun = await Promise.allSettled(videos.map((video) => { video.playbackRate = speed; return video.play(); }));
    if (begun.every((one) => one.status === "rejected")) playing = false;
    show();
    requestAnimationFrame(tick);
  }

  function pause() {
    playing = false;
    videos.forEach((video) => video.pause());
    seek(leader().currentTime);
  }

  const toggle = () => (playing ? pause() : play());
  const step = (by) => { if (playing) pause(); seek((Math.floor(leader().currentTime / finest + 0.01) + by + 0.5) * finest); };

  function setSpeed(rate) {
    speed = rate;
    speedChoice.value = String(rate);
    videos.forEach((video) => { video.playbackRate = rate; });
    announce(format(gettext("Speed %(speed)s"), { speed: rate }));
  }

  videos.forEach((video) => {
    video.controls = false;
    video.addEventListener("loadedmetadata", show);
    video.addEventListener("click", toggle);
    video.addEventListener("error", () => announce(gettext("One of the videos could not be loaded.")));
  });
  controls.hidden = false;
  toggleButton.addEventListener("click", toggle);
  $$("[data-step]", controls).forEach((button) => button.addEventListener("click", () => step(Number(button.dataset.step))));
  scrub.addEventListener("input", () => { if (playing) pause(); seek(Number(scrub.value)); });
  speedChoice.addEventListener("change", () => setSpeed(Number(speedChoice.value)));

  shortcut("k", gettext("Play or pause"), toggle, { where: WHERE });
  shortcut(" ", gettext("Play or pause"), toggle, { where: WHERE });
  shortcut("ArrowLeft", gettext("One frame back"), () => step(-1), { where: WHERE, repeat: true });
  shortcut("ArrowRight", gettext("One frame on"), () => step(1), { where: WHERE, repeat: true });
  videos.forEach((video, index) => {
    const words = format(gettext("Video %(number)s is a favourite, or not"), { number: index + 1 });
    shortcut(String(index + 1), words, () => $(".heart", video.closest("li")).click(), { where: WHERE });
  });
  show();
  if (!calm.matches) Promise.all(videos.map(ready)).then(play);
}

const ready = (video) => new Promise((go) => {
  if (video.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA) go();
  else { video.addEventListener("canplay", go, { once: true }); video.addEventListener("error", go, { once: true }); }
});

$$("[data-compare]").forEach(inStep);
