// What is kept of the shown picture: a bright part that is dragged, clicked or moved with the arrow keys.
import { $, announce, format, gettext } from "./core.js";
import { changed, field, shownItem } from "./create-picture.js";

const form = $("[data-create]"), shot = $("[data-shot]"), preview = $("[data-preview]");
const crop = $("[data-crop]"), hint = $("[data-crop-hint]"), frame = $("[data-frame]");
const between = (value, least, most) => Math.min(most, Math.max(least, value));

// The size that "Auto" will choose: the same rule as on the server.
function size() {
  const chosen = $('input[name="size"]:checked', form);
  if (!chosen) return null;
  const parse = (text) => text.split("x").map(Number);
  if (chosen.value) return parse(chosen.value);
  const aspect = preview.naturalWidth / preview.naturalHeight;
  const sizes = chosen.dataset.sizes.split(",").map(parse), usual = sizes[0][0] * sizes[0][1] * 1.1;
  const away = ([width, height]) => Math.abs(Math.log(width / height / aspect));
  return sizes.filter(([width, height]) => width * height <= usual).reduce((best, next) => (away(next) < away(best) ? next : best));
}

function share() {  // of the picture that stays, at most 1
  const [width, height] = size(), aspect = width / height;
  const own = preview.naturalWidth / preview.naturalHeight;
  return own > aspect ? { x: aspect / own, y: 1 } : { x: 1, y: own / aspect };
}

const focus = (item) => ({ x: Number(field(item, "focus_x").value), y: Number(field(item, "focus_y").value) });

function draw() {
  const item = shownItem();
  const ready = item && preview.naturalWidth > 0 && !frame.hidden && size();
  if (!ready) { crop.hidden = hint.hidden = true; return; }
  const part = share(), uncut = part.x > 0.995 && part.y > 0.995;
  crop.hidden = hint.hidden = uncut;
  shot.classList.toggle("aim", !uncut);
  const at = focus(item);
  const left = between(at.x - part.x / 2, 0, 1 - part.x), top = between(at.y - part.y / 2, 0, 1 - part.y);
  crop.style.left = `${preview.offsetLeft + left * preview.offsetWidth}px`;
  crop.style.top = `${preview.offsetTop + top * preview.offsetHeight}px`;
  crop.style.width = `${part.x * preview.offsetWidth}px`;
  crop.style.height = `${part.y * preview.offsetHeight}px`;
}

function aim(x, y) {
  const part = share(), item = shownItem();
  field(item, "focus_x").value = between(x, part.x / 2, 1 - part.x / 2).toFixed(4);
  field(item, "focus_y").value = between(y, part.y / 2, 1 - part.y / 2).toFixed(4);
  draw();
}

const pointed = (event) => {
  const box = preview.getBoundingClientRect();
  return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
};

let held = null;  // from the pointer to the focus while it is dragged
shot.addEventListener("pointerdown", (event) => {
  if (crop.hidden || event.button) return;
  const at = pointed(event), now = focus(shownItem());
  held = event.target.closest("[data-crop]") ? { x: now.x - at.x, y: now.y - at.y } : { x: 0, y: 0 };
  shot.setPointerCapture(event.pointerId);
  event.preventDefault();
  shot.focus({ preventScroll: true });
  if (!held.x && !held.y) aim(at.x, at.y);
});
shot.addEventListener("pointermove", (event) => {
  if (!held) return;
  const at = pointed(event);
  aim(at.x + held.x, at.y + held.y);
});
for (const name of ["pointerup", "pointercancel"]) shot.addEventListener(name, () => { if (held) { held = null; changed(); } });

shot.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (!step || crop.hidden) return;
  event.preventDefault();
  const reach = event.shiftKey ? 0.1 : 0.02, now = focus(shownItem());
  aim(now.x + step[0] * reach, now.y + step[1] * reach);
  const at = focus(shownItem());
  announce(format(gettext("Centre at %(x)s percent from the left, %(y)s percent from the top"), { x: Math.round(at.x * 100), y: Math.round(at.y * 100) }));
});
shot.addEventListener("keyup", (event) => { if (event.key.startsWith("Arrow") && !crop.hidden) changed(); });

preview.addEventListener("load", draw);
form.addEventListener("change", draw);
document.body.addEventListener("htmx:afterSettle", draw);
new ResizeObserver(draw).observe(shot);
draw();
