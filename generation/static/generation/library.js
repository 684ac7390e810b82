// The library: previews that play while one looks at them.
import { $$, calm, onNew } from "./core.js";

onNew((root) => $$("[data-loop]", root).forEach(playOnHover));

function playOnHover(place) {
  const card = place.closest(".card");
  let video = null;
  const start = () => {
    if (video || calm.matches) return;
    video = Object.assign(document.createElement("video"), { muted: true, loop: true, playsInline: true, src: place.dataset.loop });
    video.setAttribute("aria-hidden", "true");
    // The poster stays until there is something to show.
    video.addEventListener("playing", () => place.querySelector("img")?.after(video), { once: true });
    video.play().catch(() => {});
  };
  const stop = () => { video?.pause(); video?.remove(); video = null; };
  card.addEventListener("pointerenter", start);
  card.addEventListener("pointerleave", stop);
  card.addEventListener("focusin", start);
  card.addEventListener("focusout", stop);
}
