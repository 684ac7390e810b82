// Trimming at the frame that the player shows, and saying when a clip is done.
import { $, $$, announce, format, gettext, ngettext, onNew } from "./core.js";

function videoOf(form) {
  const root = $("[data-player]");
  const video = root && $("video", root);
  if (!video) return null;
  const frames = Number(form.dataset.frames);
  const fps = Number(root.dataset.fps) || frames / (video.duration || 1);
  return { video, frames, fps };
}

function frameShown({ video, frames, fps }) {
  return Math.min(frames, Math.max(1, Math.floor(video.currentTime * fps + 0.01) + 1));
}

function trims(form) {
  const [first, last] = ["first", "last"].map((name) => $(`[name="${name}"]`, form));
  const say = () => {
    const count = Number(last.value) - Number(first.value) + 1;
    const known = videoOf(form);
    const words = count > 0
      ? format(ngettext("%(count)s frame", "%(count)s frames", count), { count }) + (known ? ` · ${(count / known.fps).toFixed(1)} s` : "")
      : gettext("The last frame must not come before the first.");
    $("[data-trim-length]", form).textContent = words;
    last.setCustomValidity(count > 0 ? "" : gettext("The last frame must not come before the first."));
  };
  for (const field of [first, last]) {
    field.addEventListener("input", () => { show(form, Number(field.value)); say(); });
  }
  for (const button of $$("[data-trim-set]", form)) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const known = videoOf(form);
      if (!known) return;
      const number = frameShown(known);
      (button.dataset.trimSet === "first" ? first : last).value = number;
      say();
      announce(format(gettext("Frame %(number)s"), { number }));
    });
  }
}

// The frame whose number is typed is shown: the middle of its time, because the edges are rounded.
function show(form, number) {
  const known = videoOf(form);
  if (!known || !(number >= 1 && number <= known.frames)) return;
  known.video.pause();
  known.video.currentTime = (number - 0.5) / known.fps;
}

const states = new Map();
function tells(list) {
  for (const row of $$("[data-clip]", list)) {
    const { clip, state, name } = row.dataset;
    const before = states.get(clip);
    states.set(clip, state);
    if (!before || before === state) continue;
    if (state === "done") announce(format(gettext("%(name)s: done"), { name }));
    if (state === "failed") announce(format(gettext("%(name)s: failed"), { name }));
  }
}

onNew((root) => {
  $$("[data-trim]", root).forEach(trims);
  const made = root.matches?.("[data-clips-made]") ? [root] : $$("[data-clips-made]", root);
  made.forEach(tells);
});
