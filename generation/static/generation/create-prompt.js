// The prompt: phrases that are put in and taken out with a click, and more prompts beside the first.
import { $, $$, announce, format, gettext } from "./core.js";

const form = $("[data-create]"), prompt = $("#id_prompt"), place = $("[data-prompts]"), more = $("[data-add-prompt]");

function typed(text, field = prompt) {
  field.value = text;
  for (const kind of ["input", "change"]) field.dispatchEvent(new Event(kind, { bubbles: true }));
}

// --- camera, subject, light ------------------------------------------------------------------------------------------
const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
const at = (phrase) => new RegExp(`(?<=^|[\\s,.;])${escaped(phrase)}(?=$|[\\s,.;])`, "i");

export const has = (text, phrase) => at(phrase).test(text);

export function without(text, phrase) {
  const left = text.replace(new RegExp(`\\s*[,;]?\\s*${at(phrase).source}`, "i"), "").replace(/^[\s,;.]+/, "").trimEnd();
  return left && left[0].toUpperCase() + left.slice(1);
}

export function withPhrase(text, phrase) {
  const before = text.trim().replace(/[,;.]+$/, "");
  return before ? `${before}, ${phrase}` : phrase[0].toUpperCase() + phrase.slice(1);
}

function toggle(chip) {
  const { phrase, axis } = chip.dataset;
  let text = prompt.value;
  if (has(text, phrase)) text = without(text, phrase);
  else {
    $$("[data-phrase]").filter((other) => axis && other.dataset.axis === axis).forEach((other) => { if (has(text, other.dataset.phrase)) text = without(text, other.dataset.phrase); });
    text = withPhrase(text, phrase);
  }
  if ([...text].length > prompt.maxLength) { announce(gettext("The prompt is full.")); return; }
  typed(text);
  announce(has(text, phrase) ? format(gettext("Added: %(words)s"), { words: phrase }) : format(gettext("Removed: %(name)s"), { name: phrase }));
}

function mark() {
  $$("[data-phrase]").forEach((chip) => chip.setAttribute("aria-pressed", String(has(prompt.value, chip.dataset.phrase))));
}

// --- more prompts ----------------------------------------------------------------------------------------------------
export const others = () => $$("textarea[name=prompts]", place);

export function addPrompt(text = "") {
  const part = $("#other-prompt").content.firstElementChild.cloneNode(true);
  place.append(part);
  const field = $("textarea", part);
  field.value = text;
  number();
  return field;
}

function number() {
  others().forEach((field, index) => field.setAttribute("aria-label", format(gettext("Prompt %(number)s"), { number: index + 2 })));
}

function removePrompt(button) {
  const part = button.closest("[data-prompt]"), next = part.nextElementSibling ?? part.previousElementSibling;
  part.remove();
  number();
  form.dispatchEvent(new Event("change", { bubbles: true }));
  ($("textarea", next ?? document.createElement("p")) ?? more).focus();
}

document.addEventListener("click", (event) => {
  const chip = event.target.closest("[data-phrase]"), gone = event.target.closest("[data-remove-prompt]");
  if (chip) toggle(chip);
  if (gone) removePrompt(gone);
});
more.addEventListener("click", (event) => { event.preventDefault(); addPrompt().focus(); });
prompt.addEventListener("input", mark);
mark();
