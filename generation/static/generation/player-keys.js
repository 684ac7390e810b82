// The keys of the first player on the page, on the sheet behind "?" as well.
import { $, $$, gettext } from "./core.js";
import { player } from "./player.js";
import { shortcut } from "./shortcuts.js";

const TYPING = "textarea, select, input:not([type=range], [type=checkbox], [type=radio])";
const place = () => $$("[data-player]").find((root) => $("[data-part=bar]", root));
const film = () => player(place());
const free = () => !!place() && !document.activeElement?.matches(TYPING);

function key(keys, description, act, repeat = false) {
  shortcut(keys, description, () => act(film()), { where: gettext("Player"), when: free, repeat });
}

key(" ", gettext("Play or pause"), (film) => film.toggle());
key("k", gettext("Play or pause"), (film) => film.toggle());
key("ArrowLeft", gettext("One frame back"), (film) => film.step(-1), true);
key("ArrowRight", gettext("One frame on"), (film) => film.step(1), true);
key(",", gettext("One frame back"), (film) => film.step(-1), true);
key(".", gettext("One frame on"), (film) => film.step(1), true);
key("Shift+ArrowLeft", gettext("One second back"), (film) => film.skip(-1), true);
key("Shift+ArrowRight", gettext("One second on"), (film) => film.skip(1), true);
key("j", gettext("One second back"), (film) => film.skip(-1), true);
key("l", gettext("One second on"), (film) => film.skip(1), true);
key("Home", gettext("First frame"), (film) => { film.pause(); film.seek(0); });
key("End", gettext("Last frame"), (film) => { film.pause(); film.seek(film.frames - 1); });
key("[", gettext("Slower"), (film) => film.faster(-1));
key("]", gettext("Faster"), (film) => film.faster(1));
key("o", gettext("Loop on or off"), (film) => film.setLoop(!film.loop));
key("m", gettext("Sound on or off"), (film) => film.mute(!film.video.muted));
key("f", gettext("Full screen"), (film) => film.fullScreen());

// On the player's own buttons these keys mean nothing else, so they work there too.
const ARROWS = { ArrowLeft: (film) => film.step(-1), ArrowRight: (film) => film.step(1), Home: (film) => film.seek(0), End: (film) => film.seek(film.frames - 1) };
document.addEventListener("keydown", (event) => {
  const root = event.target instanceof Element && event.target.matches("button") && event.target.closest("[data-player]");
  if (!root || !ARROWS[event.key] || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  player(root).pause();
  ARROWS[event.key](player(root));
});
