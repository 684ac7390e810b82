// The page of a video: what needs to know which frame is shown, menus that lead to a folded part.
import { $, $$, format, gettext, onNew } from "./core.js";
import "./player-keys.js";
import { toast } from "./toast.js";

document.addEventListener("player:frame", (event) => showFrame(event.detail.frame));

function showFrame(number) {
  $$("[data-shown-frame]").forEach((button) => {
    button.hidden = false;
    button.value = number;
    $("[data-shown-number]", button).textContent = format(gettext("(%(frame)s)"), { frame: number + 1 });
  });
}

// --- a format that has to be made first: saved as soon as it is there -----------------------------------------------
let wanted = null;  // its name, and the clips that were there before it was asked for

document.addEventListener("submit", (event) => {
  const name = event.target.dataset.downloadWhenDone;
  if (!name) return;
  wanted = { name, before: new Set($$("[data-clip]").map((row) => row.dataset.clip)) };
  event.target.closest("details").open = false;
  toast(format(gettext("%(name)s is being made. It is downloaded when it is done."), { name }));
});

document.addEventListener("htmx:afterSwap", (event) => {
  const row = wanted && event.target.id === "clips-made" && $$("[data-clip]").find((row) => !wanted.before.has(row.dataset.clip));
  if (!row || !["done", "failed"].includes(row.dataset.state)) return;
  wanted = null;
  const link = $("a[href*=download]", row);
  if (link) link.click();
});

function open(id) {
  const part = document.getElementById(id);
  if (!part) return;
  part.open = true;
  part.scrollIntoView({ block: "nearest" });
  $("summary", part).focus();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-open]");
  if (!link) return;
  event.preventDefault();
  open(link.dataset.open);
});
if (location.hash === "#share") open("share");

onNew((root) => {
  if ($("[data-player]", root)) showFrame(0);
  const choice = $("#share-expires", root), date = $("[data-share-date]", root);
  if (!choice) return;
  const show = () => {
    date.hidden = choice.value !== "date";
    $("input", date).required = !date.hidden;
  };
  choice.addEventListener("change", show);
  show();
});
