// The page of a video: what needs to know which frame is shown, menus that lead to a folded part.
import { $, $$, format, gettext, onNew } from "./core.js";
import "./player-keys.js";

document.addEventListener("player:frame", (event) => showFrame(event.detail.frame));

function showFrame(number) {
  $$("[data-shown-frame]").forEach((button) => {
    button.hidden = false;
    button.value = number;
    $("[data-shown-number]", button).textContent = format(gettext("(%(frame)s)"), { frame: number + 1 });
  });
}

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
