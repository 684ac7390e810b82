// A short word at the foot of the page about what was just done, with the way back while there is one.
import { gettext } from "./core.js";

// It stands in the page before anything is said: a region that comes with its text is not read out.
const region = document.createElement("div");
region.className = "quick";
region.id = "toasts";
region.setAttribute("role", "status");
document.body.append(region);

function button(text, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "quick-button";
  made.textContent = text;
  made.addEventListener("click", act);
  return made;
}

// Say `text`; with `undo`, a function, offer to take it back. It goes after `seconds`, never while it is looked at.
// Returns a function that takes it away.
export function toast(text, { undo = null, seconds = 6 } = {}) {
  const before = document.activeElement;
  const box = document.createElement("div");
  box.className = "quick-one";
  let timer = null;

  function close() {
    clearTimeout(timer);
    const held = box.contains(document.activeElement);
    box.remove();
    if (held) (before?.isConnected && before !== document.body ? before : document.getElementById("main"))?.focus({ preventScroll: true });
  }
  const wait = (time) => { clearTimeout(timer); timer = setTimeout(close, time * 1000); };
  const hold = () => clearTimeout(timer);
  const letGo = () => { if (box.isConnected && !box.matches(":hover") && !box.contains(document.activeElement)) wait(2); };

  async function takeBack() {
    hold();
    box.setAttribute("aria-busy", "true");
    try {
      await undo();
      close();
    } catch (problem) {
      close();
      toast(problem.message || gettext("It could not be undone."));
    }
  }

  const words = document.createElement("p");
  words.textContent = text;
  box.append(words);
  if (undo) box.append(button(gettext("Undo"), takeBack));
  const away = button("×", close);
  away.setAttribute("aria-label", gettext("Dismiss"));
  away.classList.add("quick-close");
  box.append(away);

  box.addEventListener("pointerenter", hold);
  box.addEventListener("pointerleave", letGo);
  box.addEventListener("focusin", hold);
  box.addEventListener("focusout", () => setTimeout(letGo));
  box.addEventListener("keydown", (event) => { if (event.key === "Escape") { event.stopPropagation(); close(); } });
  region.append(box);
  while (region.children.length > 3) region.firstElementChild.remove();
  wait(seconds);
  return close;
}
