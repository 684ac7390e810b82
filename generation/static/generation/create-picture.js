// The pictures of the create page: sent at once, shown, put in order, taken away. What is kept of one: create-crop.js.
import { $, $$, announce, format, gettext, ngettext } from "./core.js";

const form = $("[data-create]"), strip = $("[data-strip]");
const stage = $("[data-stage]"), drop = $("[data-drop]"), frame = $("[data-frame]");
const preview = $("[data-preview]"), clear = $("[data-clear]"), error = $("[data-picture-error]");
const sending = $("[data-sending]"), input = $("#id_image");
const KINDS = ["image/jpeg", "image/png", "image/webp"];

let shown = $("[data-picture]", strip);
const onItsWay = new Set();

export const items = () => $$("[data-picture]", strip);
export const shownItem = () => shown;
export const field = (item, name) => $(`input[name="${name}"]`, item);
export const changed = () => form.dispatchEvent(new Event("change", { bubbles: true }));
export const allSent = () => Promise.allSettled(onItsWay);
export const isSending = () => onItsWay.size > 0;

/** What is wrong with a picture, in words; nothing takes the words away. */
export function fail(text = "") {
  error.textContent = text;
  error.hidden = !text;
}

// --- showing ---------------------------------------------------------------------------------------------------------
export function show(item, { quiet = false } = {}) {
  shown = item ?? null;
  items().forEach((one) => $("[data-show]", one).setAttribute("aria-pressed", String(one === shown)));
  drop.hidden = !!shown;
  frame.hidden = clear.hidden = !shown;
  strip.hidden = !items().length;
  stage.classList.toggle("full", !!shown);
  if (!shown) preview.removeAttribute("src");
  else {
    const { name, width, height, full, local } = shown.dataset, source = local ?? full;
    for (const [side, value] of [["width", width], ["height", height]]) {
      if (value) preview.setAttribute(side, value); else preview.removeAttribute(side);
    }
    if (preview.getAttribute("src") !== source) preview.src = source;
    $("[data-picture-name]").textContent = width ? `${name} · \u2066${width} × ${height}\u2069` : name;
    stage.classList.remove("bad");
    $$("#err-image, #err-image-id").forEach((old) => old.remove());
  }
  continued();
  if (!quiet) changed();
}

// Only the first picture can be the frame that a video goes on from.
function continued() {
  const { of = "", at = "" } = items()[0]?.dataset ?? {};
  $("[data-continues]").value = of;
  $("[data-continues-frame]").value = of ? at : "";
  $("[data-continues-note]").hidden = !of;
}

function fill(item, picture) {
  Object.assign(item.dataset, { name: picture.name, full: picture.full, thumbnail: picture.thumbnail });
  for (const name of ["width", "height", "of", "at", "local"]) {
    const value = picture[name];
    if (value === undefined || value === null || value === "") delete item.dataset[name]; else item.dataset[name] = value;
  }
  field(item, "image_id").value = picture.id ?? "";
  if (picture.focus) ["focus_x", "focus_y"].forEach((name, at) => { field(item, name).value = picture.focus[at]; });
  const image = $("img", item);
  image.src = picture.thumbnail;
  image.alt = picture.name;
  $("[data-remove]", item).setAttribute("aria-label", format(gettext("Remove %(name)s"), { name: picture.name }));
}

function added(picture) {
  const item = $("#chosen-picture").content.firstElementChild.cloneNode(true);
  fill(item, picture);
  $(".strip-add", strip).before(item);
  return item;
}

/** Choose a picture: instead of the one that is there, or besides it with `add` (and always when there are several). */
export function give(picture, { add = false, quiet = false } = {}) {
  fail();
  const same = items().find((item) => field(item, "image_id").value === picture.id);
  if (same && picture.id) { fill(same, picture); show(same, { quiet }); return same; }
  if (!add && items().length === 1) items()[0].remove();
  const item = added(picture);
  show(item, { quiet });
  return item;
}

/** Everything that a draft keeps of the pictures, in their order. An address of this page's own means nothing to the next. */
export function kept() {
  return items().filter((item) => field(item, "image_id").value).map((item) => {
    const { local, ...facts } = item.dataset;
    return { ...facts, id: field(item, "image_id").value, focus: [field(item, "focus_x").value, field(item, "focus_y").value] };
  });
}

export function remove(item) {
  const list = items(), place = list.indexOf(item), name = item.dataset.name;
  item.remove();
  const next = list[place + 1] ?? list[place - 1];
  show(shown === item ? next : shown);
  announce(format(gettext("Removed: %(name)s"), { name }));
  (next ? $("[data-show]", shown) : input).focus();
}

// --- sending ---------------------------------------------------------------------------------------------------------
/** Send a file; what the server made of it. Rejects with words for people. */
export function upload(file, onProgress = () => {}) {
  const request = new XMLHttpRequest(), body = new FormData();
  body.append("image", file);
  const sent = new Promise((resolve, reject) => {
    const refuse = (text) => reject(new Error(text));
    request.upload.addEventListener("progress", (event) => { if (event.lengthComputable) onProgress(event.loaded / event.total); });
    request.addEventListener("error", () => refuse(gettext("The picture could not be sent. Look whether you are online, then choose it again.")));
    request.addEventListener("load", () => {
      const answer = request.response;
      if (request.status === 201 && answer?.id) resolve(answer);
      else refuse(answer?.error?.message ?? gettext("The picture was not taken. Load the page again: what you typed is kept."));
    });
  });
  request.open("POST", "/pictures");
  request.responseType = "json";
  request.setRequestHeader("X-CSRFToken", $("input[name=csrfmiddlewaretoken]", form).value);
  request.send(body);
  onItsWay.add(sent);
  sent.finally(() => onItsWay.delete(sent)).catch(() => {});
  return sent;
}

/** Why this file is not worth sending; nothing when it is. */
export function refusal(file) {
  if (!KINDS.includes(file.type)) return gettext("Choose a JPEG, PNG or WebP picture.");
  return file.size > Number(stage.dataset.maxBytes) ? gettext("This picture is too big.") : "";
}

async function take(file, options) {
  const problem = refusal(file);
  if (problem) { fail(problem); return; }
  const address = URL.createObjectURL(file);
  const item = give({ name: file.name, full: address, thumbnail: address, local: address }, { ...options, quiet: true });
  item.classList.add("pending");
  const bar = $("progress", sending);
  bar.value = 0;
  sending.hidden = false;
  try {
    const picture = await upload(file, (share) => { bar.value = share; });
    if (!item.isConnected) return;
    const twice = items().find((one) => one !== item && field(one, "image_id").value === picture.id);
    // The picture in the browser is the same: loading ours again would only flicker.
    if (twice) { item.remove(); show(twice); } else { fill(item, { ...picture, local: address }); show(shown === item ? item : shown); }
  } catch (refused) {
    item.remove();
    if (shown === item) show(items().at(-1)); else show(shown);
    fail(refused.message);
  } finally {
    item.classList.remove("pending");
    sending.hidden = !isSending();
  }
}

export function takeAll(files, { add = false } = {}) {
  fail();
  const several = add || files.length > 1;
  [...files].forEach((file) => take(file, { add: several }));
  if (files.length > 1) announce(format(ngettext("%(count)s picture chosen", "%(count)s pictures chosen", files.length), { count: files.length }));
}

// --- listening -------------------------------------------------------------------------------------------------------
function takeChosen() {
  const files = [...input.files];
  input.value = "";  // they are on their way already
  if (files.length) takeAll(files);
}
input.addEventListener("change", takeChosen);
takeChosen();  // what was chosen before this script was there
clear.addEventListener("click", () => { if (shown) remove(shown); });
strip.addEventListener("click", (event) => {
  const item = event.target.closest("[data-picture]");
  if (event.target.closest("[data-remove]")) { event.preventDefault(); remove(item); }
  else if (event.target.closest("[data-show]")) show(item, { quiet: true });
});

// The whole page takes a dropped or pasted picture: people miss small targets.
const carriesFile = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
addEventListener("dragover", (event) => { if (carriesFile(event)) { event.preventDefault(); stage.classList.add("over"); } });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) stage.classList.remove("over"); });
addEventListener("drop", (event) => {
  stage.classList.remove("over");
  if (!carriesFile(event)) return;
  event.preventDefault();
  if (event.dataTransfer.files.length) takeAll(event.dataTransfer.files);
});
addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files || [])].filter((item) => item.type.startsWith("image/"));
  if (files.length) { event.preventDefault(); takeAll(files); }
});
