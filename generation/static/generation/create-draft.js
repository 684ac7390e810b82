// What is typed survives a reload and a lost session: it is kept in this browser, for this person, until it was sent.
import { $, $$, announce, gettext } from "./core.js";
import { give, items, kept, remove, show } from "./create-picture.js";
import { addPrompt, others } from "./create-prompt.js";
import { end } from "./create-choose.js";

const form = $("[data-create]"), KEY = `draft:${form.dataset.person}`;
const token = $("[data-draft]");
// Asked for anew each time (rights), given by the page itself, or kept in another way.
const NOT_KEPT = ["csrfmiddlewaretoken", "rights", "draft", "image", "image_id", "end_image", "focus_x", "focus_y", "chosen_by", "settings_of", "prompts", "preset", "preset_name", "apply", "remove", "continues", "continues_frame"];
let first = "", paused = false;

function read() {
  try { return JSON.parse(localStorage.getItem(KEY)) ?? null; } catch { return null; }
}

function write(draft) {
  try { localStorage.setItem(KEY, JSON.stringify(draft)); } catch { /* no room, or not allowed: then it is not kept */ }
}

function values() {
  const fields = {};
  for (const [name, value] of new FormData(form)) if (!NOT_KEPT.includes(name) && typeof value === "string") fields[name] = value;
  const picture = $("[data-end-shown]");
  const last = fields.end_image_id ? { id: fields.end_image_id, name: picture.alt, thumbnail: picture.getAttribute("src") } : null;
  return { fields, pictures: kept(), prompts: others().map((field) => field.value).filter(Boolean), end: last };
}

function keep() {
  if (paused) return;
  const now = values(), same = JSON.stringify(now) === first;
  if (!same) write({ token: token.value, ...now });
}

// --- putting it back -------------------------------------------------------------------------------------------------
function put(fields) {
  for (const [name, value] of Object.entries(fields)) {
    const field = $(`[name="${CSS.escape(name)}"]:not([type=radio], [type=checkbox])`, form);
    const choice = $(`[name="${CSS.escape(name)}"][value="${CSS.escape(value)}"]:is([type=radio], [type=checkbox])`, form);
    if (choice && !choice.disabled) choice.checked = true;
    else if (field && field.value !== value) field.value = value;
  }
  $$("[type=checkbox]:not([name=rights])", form).forEach((box) => { box.checked = box.name in fields; });
  for (const name of ["prompt", "seconds", "num_frames", "seed"]) $(`[name=${name}]`, form)?.dispatchEvent(new Event("input", { bubbles: true }));
}

async function restore(draft) {
  paused = true;
  draft.pictures.forEach((picture) => give(picture, { add: true, quiet: true }));
  if (items().length) show(items()[0], { quiet: true });
  draft.prompts.forEach(addPrompt);
  const { model } = draft.fields, radio = model && $(`[name=model][value="${CSS.escape(model)}"]`, form);
  if (radio && !radio.checked && !radio.disabled) {
    radio.checked = true;
    const values = { model, settings_of: model };
    await htmx.ajax("GET", $("fieldset.models").getAttribute("hx-get"), { target: "#settings", swap: "innerHTML", values });
  }
  if (!radio?.disabled) put(draft.fields); else put({ prompt: draft.fields.prompt ?? "" });
  if (draft.end && $("[data-end]")) end(draft.end);
  paused = false;
  form.dispatchEvent(new Event("change", { bubbles: true }));
}

const isEmpty = (draft) => !draft.pictures?.length && !draft.prompts?.length && !draft.fields?.prompt && !draft.fields?.image_url;

/** A seed that is locked stays for the next video, also when everything else was sent. */
function afterSending(draft) {
  const { seed, seed_lock: lock } = draft.fields ?? {};
  if (!lock || !seed) { localStorage.removeItem(KEY); return null; }
  const rest = { token: "", fields: { seed, seed_lock: lock }, pictures: [], prompts: [], locked: true };
  write(rest);
  return rest;
}

function begin() {
  const sent = document.cookie.match(/(?:^|; )i2v_sent=(\w+)/)?.[1];
  let draft = read();
  if (draft?.token && draft.token === sent) draft = afterSending(draft);
  token.value = crypto.getRandomValues(new Uint32Array(4)).join("");
  first = JSON.stringify(values());
  if (!draft || !("fresh" in form.dataset)) return;
  if (draft.locked) { put({ ...values().fields, ...draft.fields }); return; }
  if (isEmpty(draft)) return;
  const note = $("[data-restored]");
  note.hidden = false;
  $("[data-subtitle]").hidden = true;
  announce(gettext("Restored what you had typed."));
  restore(draft);
}

function startFresh() {
  paused = true;
  localStorage.removeItem(KEY);
  location.assign(location.pathname);
}

let timer = null;
for (const kind of ["input", "change"]) form.addEventListener(kind, () => { clearTimeout(timer); timer = setTimeout(keep, 250); });
addEventListener("pagehide", keep);
document.addEventListener("visibilitychange", () => { if (document.hidden) keep(); });
form.addEventListener("submit", keep);
$("[data-start-fresh]").addEventListener("click", startFresh);
begin();
