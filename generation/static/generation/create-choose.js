// The dialog in which earlier pictures, and frames of earlier videos, are chosen.
import { $, $$, announce, format, gettext } from "./core.js";
import { give, items, field, remove, refusal, upload, changed } from "./create-picture.js";

const dialog = $("#choose"), body = $("#choose-body"), title = $("#choose-title"), error = $("[data-choose-error]");
let target = "one", opener = null;

function fail(text = "") {
  error.textContent = text;
  error.hidden = !text;
}

async function load(address) {
  fail();
  body.setAttribute("aria-busy", "true");
  await htmx.ajax("GET", address, { target: body, swap: "innerHTML" });
  body.removeAttribute("aria-busy");
  mark();
  ($("input[type=search]", body) ?? title).focus();
}

function open(button) {
  if (!dialog.open) {
    target = button.dataset.for ?? "one";
    opener = button;
    body.replaceChildren();
    dialog.showModal();
  }
  title.textContent = button.dataset.chooseTitle;
  load(button.dataset.choose);
}

function mark() {
  const chosen = target === "end" ? [$("[data-end-id]")?.value] : items().map((item) => field(item, "image_id").value);
  $$("[data-pick]", body).forEach((thumb) => { if (chosen.includes(thumb.dataset.pick)) thumb.setAttribute("aria-current", "true"); else thumb.removeAttribute("aria-current"); });
}

function chosen(picture) {
  if (target === "end") end(picture);
  else {
    const there = items().find((item) => field(item, "image_id").value === picture.id);
    if (target === "add" && there) { remove(there); mark(); return; }
    give(picture, { add: target === "add" });
  }
  announce(format(gettext("Chosen: %(name)s"), { name: picture.name }));
  mark();
  if (target !== "add") dialog.close();
}

// --- a frame ---------------------------------------------------------------------------------------------------------
async function scrub(address) {
  await load(address);
  const { player } = await import("./player.js");
  const place = $("[data-player]", body);
  if (place) player(place);
  $("input[type=range]", body)?.focus();  // hidden until the player is there
}

async function takeFrame(button) {
  const { player } = await import("./player.js");
  const frame = player($("[data-player]", body)).frame, data = new FormData();
  data.append("frame", frame);
  button.setAttribute("aria-busy", "true");
  fail();
  try {
    const headers = { Accept: "application/json", "X-CSRFToken": $("[data-create] input[name=csrfmiddlewaretoken]").value };
    const answer = await fetch(button.dataset.take, { method: "POST", body: data, headers });
    const picture = await answer.json();
    if (!answer.ok) throw new Error(picture.error?.message);
    chosen({ ...picture, of: target === "end" ? "" : button.dataset.job, at: target === "end" ? "" : frame });
  } catch (problem) {
    fail(problem instanceof TypeError || problem instanceof SyntaxError || !problem.message ? gettext("The frame could not be taken. Try again.") : problem.message);
  } finally {
    button.removeAttribute("aria-busy");
  }
}

// --- the picture to end with -----------------------------------------------------------------------------------------
export function end(picture) {
  const place = $("[data-end]"), image = $("[data-end-shown]", place);
  $("[data-end-id]", place).value = picture?.id ?? "";
  image.hidden = $("[data-end-clear]", place).hidden = !picture;
  image.alt = picture?.name ?? "";
  if (picture) image.src = picture.thumbnail; else image.removeAttribute("src");
  changed();
}

async function sendEnd(input) {
  const [file] = input.files;
  input.value = "";
  if (!file) return;
  const problem = refusal(file);
  try {
    if (problem) throw new Error(problem);
    end(await upload(file));
  } catch (refused) {
    input.setCustomValidity(refused.message);
    input.reportValidity();
    input.setCustomValidity("");
  }
}

// --- listening -------------------------------------------------------------------------------------------------------
const acts = [
  ["[data-choose]", open],
  ["[data-pick]", (thumb) => chosen({ ...thumb.dataset, id: thumb.dataset.pick })],
  ["[data-frames]", (thumb) => scrub(thumb.dataset.frames)],
  ["[data-take]", takeFrame],
  ["[data-end-clear]", () => end(null)],
];
document.addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey) return;
  const found = acts.map(([selector, act]) => [event.target.closest(selector), act]).find(([part]) => part);
  if (!found) return;
  event.preventDefault();
  found[1](found[0]);
});
document.addEventListener("change", (event) => { if (event.target.matches("[data-end-file]")) sendEnd(event.target); });
body.addEventListener("submit", (event) => event.preventDefault());
// The search asks by itself; what came in knows what is chosen, and the button that brought it gives its focus on.
body.addEventListener("htmx:afterSettle", () => {
  mark();
  if (document.activeElement === document.body) $("[data-new] a", body)?.focus();
});
$("[data-close]", dialog).addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => {
  body.replaceChildren();  // a video must not go on behind the page
  if (document.activeElement === document.body || dialog.contains(document.activeElement)) opener?.focus();
});
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
