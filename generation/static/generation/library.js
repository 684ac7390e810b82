// The library: previews that play while one looks at them, and what is said of one video.
import { $, $$, calm, gettext, onNew } from "./core.js";
import { shortcut } from "./shortcuts.js";
import { toast } from "./toast.js";
import "./library-select.js";

const LIBRARY = gettext("Library");

// --- previews ----------------------------------------------------------------------------------------------------
onNew((root) => {
  const places = $$("[data-loop]", root);
  places.forEach(playOnHover);
});

function playOnHover(place) {
  const card = place.closest(".card"), button = $("[data-play-loop]", card);
  let video = null;
  const show = (on) => button?.setAttribute("aria-pressed", String(on));
  const start = () => {
    if (video) return;
    video = Object.assign(document.createElement("video"), { muted: true, loop: true, playsInline: true, src: place.dataset.loop });
    video.setAttribute("aria-hidden", "true");
    // The poster stays until there is something to show.
    video.addEventListener("playing", () => place.querySelector("img")?.after(video), { once: true });
    video.play().catch(() => {});
    show(true);
  };
  const stop = () => { video?.pause(); video?.remove(); video = null; show(false); };
  const unasked = () => { if (!calm.matches) start(); };
  card.addEventListener("pointerenter", (event) => { if (event.pointerType !== "touch") unasked(); });
  card.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") stop(); });
  card.addEventListener("focusin", (event) => { if (event.target.matches(":focus-visible") && event.target !== button) unasked(); });
  card.addEventListener("focusout", (event) => { if (!card.contains(event.relatedTarget)) stop(); });
  if (!button) return;
  button.hidden = false;
  button.addEventListener("click", () => (video ? stop() : start()));
}

// --- why a video looks so ----------------------------------------------------------------------------------------
const dialog = $("#why");

async function explain(link) {
  await htmx.ajax("GET", link.href, { target: "#why-body", swap: "innerHTML" });
  if (!dialog.open) dialog.showModal();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-why]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  explain(link);
});

const lookedAt = () => document.activeElement?.closest(".card") || $(".card:hover");
shortcut("i", gettext("Why this video looks so"), () => explain($("[data-why]", lookedAt())), { where: LIBRARY, when: () => !!lookedAt() });
shortcut("f", gettext("Favourite, or not"), () => $(".heart", lookedAt()).click(), { where: LIBRARY, when: () => !!lookedAt() });

// --- what goes wrong on the way ----------------------------------------------------------------------------------
for (const name of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
  document.addEventListener(name, (event) => {
    if (event.target.closest("main")) toast(gettext("That did not work. Look whether you are online, then try again."));
  });
}
