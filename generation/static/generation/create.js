// The page where a video begins.
import { $, $$, announce, format, gettext, onNew } from "./core.js";
import { shortcut } from "./shortcuts.js";
import { toast } from "./toast.js";
import { allSent, isSending } from "./create-picture.js";
import "./create-crop.js";
import "./create-choose.js";
import "./create-prompt.js";
import "./create-draft.js";

const form = $("[data-create]"), go = $("#go");

// --- how long: seconds for people, frames for the model --------------------------------------------------------------
function lengths() {
  const slide = $("[data-length-slide]"), seconds = $("[data-seconds]"), fps = Number($("#id_fps")?.value) || 0;
  return { slide, seconds, fps, least: Number(slide?.min), most: Number(slide?.max), step: Number(slide?.step) };
}

function nearest(frames, { least, most, step }) {
  return Math.min(most, Math.max(least, least + Math.round((frames - least) / step) * step));
}

// The shortest number that means these frames: the same rule as on the server (generation.services.lengths).
function inSeconds(frames, given) {
  const texts = [1, 2, 3].map((digits) => (frames / given.fps).toFixed(digits));
  return String(Number(texts.find((text) => nearest(Math.round(text * given.fps), given) === frames) ?? texts[2]));
}

function sayFrames() {
  const given = lengths();
  $$("[data-lengths] option").forEach((choice) => {
    if (given.fps) choice.text = format(gettext("%(seconds)s seconds (%(frames)s frames)"), { seconds: Number((choice.value / given.fps).toFixed(1)), frames: choice.value });
  });
  if (!given.seconds || !given.fps) return;
  const frames = nearest(Math.round(given.seconds.value * given.fps), given);
  given.slide.value = frames;
  given.seconds.min = (given.least / given.fps).toFixed(2);
  given.seconds.max = (given.most / given.fps).toFixed(2);
  $("[data-frames-said]").textContent = format(gettext("%(frames)s frames at %(fps)s fps"), { frames, fps: given.fps });
}

function setFrames(frames) {
  const given = lengths();
  given.seconds.value = inSeconds(nearest(frames, given), given);
  sayFrames();
}

document.addEventListener("input", (event) => {
  if (event.target.matches("[data-length-slide]")) setFrames(Number(event.target.value));
  if (event.target.matches("[data-seconds], #id_fps")) sayFrames();
});
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-length-slide]")) $("[data-seconds]").dispatchEvent(new Event("change", { bubbles: true }));
});

// --- the seed --------------------------------------------------------------------------------------------------------
function seed() {
  const field = $("#id_seed"), lock = $("[data-lock]");
  const draw = () => { field.value = crypto.getRandomValues(new Uint32Array(1))[0] % 2 ** 31; };
  return { field, lock, draw };
}

function sayLock() {
  const { field, lock } = seed();
  $("[data-seed-said]").hidden = !(lock.checked && field.value);
}

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-dice]")) return;
  const { field, draw } = seed();
  draw();
  announce(format(gettext("Seed %(seed)s"), { seed: field.value }));
  field.dispatchEvent(new Event("change", { bubbles: true }));
  sayLock();
});
document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-lock]")) return;
  const { field, lock, draw } = seed();
  if (lock.checked && !field.value) draw();
  if (!lock.checked) field.value = "";
  sayLock();
});
document.addEventListener("input", (event) => { if (event.target.id === "id_seed") sayLock(); });

// --- suggestions: a query string, each field gets its value as if it had been typed -------------------------------------
function set(name, value) {
  if (name === "num_frames" && $("[data-seconds]")) {
    const before = $("[data-seconds]").value;
    setFrames(Number(value));
    return [$("[data-seconds]"), before];
  }
  const field = $(`input[type="radio"][name="${name}"][value="${CSS.escape(value)}"]`, form) || $(`[name="${name}"]:not([type="radio"])`, form);
  if (!field || field.disabled || (field.type === "radio" && field.checked)) return null;
  const before = field.value;
  if (field.type === "radio") field.checked = true; else field.value = value;
  return [field, before];
}

function tell(field) {
  for (const kind of ["input", "change"]) field.dispatchEvent(new Event(kind, { bubbles: true }));
}

function apply(button) {
  const done = [...new URLSearchParams(button.value)].map(([name, value]) => set(name, value)).filter(Boolean);
  if (!done.length) return;
  const words = button.textContent.trim(), undoable = "undo" in button.dataset;
  if (!undoable) for (let around = done[0][0].closest("details"); around; around = around.parentElement.closest("details")) around.open = true;
  done[0][0].focus();
  done.forEach(([field]) => tell(field));
  if (!undoable) { announce(format(gettext("Done: %(what)s"), { what: words })); return; }
  toast(format(gettext("Done: %(what)s"), { what: words }), {
    undo: () => done.forEach(([field, before]) => { field.value = before; tell(field); }), seconds: 8,
  });
}

document.addEventListener("click", (event) => {
  const suggestion = event.target.closest("[data-apply]");
  if (suggestion) { event.preventDefault(); apply(suggestion); }
});

// --- keys and sending ------------------------------------------------------------------------------------------------
const mac = /Mac|iP(hone|ad|od)/.test(navigator.platform);
$$("[data-mod]").forEach((key) => { if (mac) key.textContent = "⌘"; });
shortcut("Mod+Enter", gettext("Create the video"), () => { if (!$("dialog[open]")) go.click(); }, { where: gettext("New video") });

document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.ctrlKey || event.metaKey || event.defaultPrevented || event.isComposing) return;
  if (event.target.id === "id_preset_name") {
    event.preventDefault();
    event.target.closest(".row").querySelector("button").click();
    return;
  }
  // Enter in a field settles its value; what costs money is pressed by its name.
  if (event.target.matches("[data-create] input:not([type=file])")) {
    event.preventDefault();
    if (!event.target.matches("[type=radio], [type=checkbox]")) event.target.dispatchEvent(new Event("change", { bubbles: true }));
  }
});

// A picture that is still on its way is waited for; before others hear of the submit and call the button busy.
form.addEventListener("submit", (event) => {
  if (!isSending()) return;
  event.preventDefault();
  event.stopPropagation();
  announce(gettext("The picture is still being sent."));
  const { submitter } = event;
  allSent().then(() => form.requestSubmit(submitter));
});

// The same answer again is not read out again and takes no focus away. One about settings that are gone meanwhile, or
// for a form that is being sent, is too late. (Heard at the place itself: what is gone has no document above it.)
function keepSame(event) {
  const place = event.currentTarget, text = event.detail.serverResponse;
  if (event.target !== place) return;
  if (!place.isConnected || text === place.lastAnswer || $("#go[aria-busy]")) event.detail.shouldSwap = false;
  place.lastAnswer = text;
}

// Whose session has ended gets the sign-in page as the answer to every question: it belongs in no part of this page.
let signedOut = false;
document.addEventListener("htmx:beforeSwap", (event) => {
  if (!new URL(event.detail.xhr.responseURL || location.href).pathname.startsWith("/account/")) return;
  event.detail.shouldSwap = false;
  if (!signedOut) toast(gettext("You are signed out. Sign in again: what you typed is kept."), { seconds: 20 });
  signedOut = true;
});

onNew((root) => {
  if (root === document || $("#id_seed", root) || $("[data-seconds]", root)) { sayFrames(); sayLock(); }
  [root, ...$$("#estimate", root)].filter((part) => part.id === "estimate").forEach((place) => place.addEventListener("htmx:beforeSwap", keepSame));
});
$("[aria-invalid]", form)?.focus();
