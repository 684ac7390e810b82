// Our own controls over a <video>: exact to the frame, for mouse, touch and keyboard. Without scripts the video keeps
// the browser's. `player(root)` gives the Player of a `[data-player]` element; see templates/generation/_player.html.
import { $, $$, announce, calm, format, gettext, onNew } from "./core.js";

const players = new WeakMap();
export const SPEEDS = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2];

/** The one Player of this element. It tells on the element: player:frame ({frame}), player:play, player:pause. */
export function player(root) {
  if (!players.has(root)) players.set(root, new Player(root));
  return players.get(root);
}

class Player {
  constructor(root) {
    this.root = root;
    this.video = $("video", root);
    this.fps = Number(root.dataset.fps) || 16;
    this.known = Number(root.dataset.frames) || 0;
    this.shown = 0;
    this.address = this.video.currentSrc || this.video.src;
    this.fresh = false;  // whether the address was asked for anew since the last picture
    this.parts = Object.fromEntries($$("[data-part]", root).map((part) => [part.dataset.part, part]));
    this.video.controls = !this.parts.bar;
    if (this.parts.bar) this.parts.bar.hidden = false;
    this.#listen();
    this.#show();
    this.#say();
    if (this.video.error) this.#broken();
    if ("autoplay" in root.dataset && !calm.matches) this.play();
  }

  // --- what others use ------------------------------------------------------------------------------------------
  get frames() { return this.known || Math.max(1, Math.round((this.video.duration || 0) * this.fps)); }
  get frame() { return this.shown; }
  get paused() { return this.video.paused; }
  get speed() { return this.video.playbackRate; }
  get loop() { return this.video.loop; }

  play() { return this.video.play()?.catch(() => {}); }  // a browser may refuse; the button then still says "Play"
  pause() { this.video.pause(); }
  toggle() { return this.paused ? this.play() : this.pause(); }

  /** Show frame `number`, from 0. The middle of a frame's time, because its edges are rounded. */
  seek(number) {
    this.#now(Math.min(this.frames - 1, Math.max(0, Math.round(number))));
    this.video.currentTime = (this.shown + 0.5) / this.fps;
  }

  /** Pause, and go on by so many frames; past an end only where the video loops. */
  step(by) {
    this.pause();
    const next = this.shown + by;
    this.seek(this.loop ? (next + this.frames) % this.frames : next);
  }

  skip(seconds) { this.seek(this.shown + seconds * this.fps); }

  setSpeed(rate) {
    this.video.playbackRate = this.video.defaultPlaybackRate = rate;
    if (this.parts.speed) this.parts.speed.value = String(rate);
  }

  faster(by) {
    const at = SPEEDS.indexOf(this.speed);
    const next = SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, (at < 0 ? SPEEDS.indexOf(1) : at) + by))];
    this.setSpeed(next);
    announce(format(gettext("Speed %(speed)s"), { speed: next }));
  }

  setLoop(on) { this.video.loop = on; this.#show(); }
  mute(on) { this.video.muted = on; }

  fullScreen() {
    if (document.fullscreenElement) return document.exitFullscreen();
    if (this.root.requestFullscreen) return this.root.requestFullscreen();
    return this.video.webkitEnterFullscreen?.();  // phones of Apple have it for the video alone
  }

  // --- the controls -----------------------------------------------------------------------------------------------
  #listen() {
    const { video, parts } = this;
    const acts = {
      play: () => this.toggle(), back: () => this.step(-1), next: () => this.step(1),
      loop: () => this.setLoop(!this.loop), mute: () => this.mute(!video.muted), full: () => this.fullScreen(),
      again: () => { this.fresh = false; this.#reload(); },
    };
    for (const [name, act] of Object.entries(acts)) parts[name]?.addEventListener("click", act);
    parts.speed?.addEventListener("change", () => this.setSpeed(Number(parts.speed.value)));
    parts.scrub?.addEventListener("input", () => { this.pause(); this.seek(Number(parts.scrub.value)); });
    if (parts.bar) video.addEventListener("click", () => this.toggle());
    for (const name of ["play", "pause", "volumechange", "loadedmetadata"]) video.addEventListener(name, () => this.#show());
    for (const name of ["play", "pause"]) video.addEventListener(name, () => this.#tell(name));
    for (const name of ["pause", "ended", "seeked", "timeupdate"]) video.addEventListener(name, () => this.#now(this.#atTime()));
    video.addEventListener("loadeddata", () => { this.fresh = false; this.#fault(""); this.#sound(); });
    video.addEventListener("timeupdate", () => this.#sound());
    video.addEventListener("error", () => this.#broken());
    this.#watchFrames();
  }

  /** Every frame that is really drawn, where the browser tells; `timeupdate` comes only four times a second. */
  #watchFrames() {
    if (!this.video.requestVideoFrameCallback) return;
    this.video.requestVideoFrameCallback((_, drawn) => {
      if (!this.paused) this.#now(this.#clamped(Math.round(drawn.mediaTime * this.fps)));
      this.#watchFrames();
    });
  }

  #clamped(number) { return Math.min(this.frames - 1, Math.max(0, number)); }
  #atTime() { return this.#clamped(Math.floor(this.video.currentTime * this.fps + 0.01)); }

  #now(number) {
    if (number === this.shown) return;
    this.shown = number;
    this.#say();
    this.#tell("frame", { frame: number });
  }

  #tell(what, detail) { this.root.dispatchEvent(new CustomEvent(`player:${what}`, { bubbles: true, detail })); }

  #say() {
    const { where, scrub } = this.parts;
    const values = { frame: this.shown + 1, frames: this.frames, seconds: ((this.shown + 0.5) / this.fps).toFixed(1) };
    const words = format(gettext("Frame %(frame)s of %(frames)s · %(seconds)s s"), values);
    if (where) where.textContent = words;
    if (!scrub) return;
    scrub.max = this.frames - 1;
    scrub.value = this.shown;
    scrub.setAttribute("aria-valuetext", words);
    scrub.style.setProperty("--done", `${(100 * this.shown) / Math.max(1, this.frames - 1)}%`);
  }

  #show() {
    const press = (name, on) => this.parts[name]?.setAttribute("aria-pressed", String(on));
    press("loop", this.loop);
    press("mute", this.video.muted);
    this.root.classList.toggle("playing", !this.paused);
    const { play } = this.parts;
    if (play) play.setAttribute("aria-label", this.paused ? play.dataset.play : play.dataset.pause);
    this.#say();
  }

  #sound() {
    const { video, parts } = this;
    const heard = video.audioTracks?.length || video.mozHasAudio || video.webkitAudioDecodedByteCount;
    if (parts.mute && heard) parts.mute.hidden = false;
  }

  // --- a link that has run out, or a file that is gone ----------------------------------------------------------------
  #reload() {
    const time = this.video.currentTime, went = !this.paused;
    const address = new URL(this.address, location.href);
    address.searchParams.set("fresh", Date.now());
    this.#fault("");
    this.fresh = true;
    this.video.addEventListener("loadedmetadata", () => {
      this.video.currentTime = time;
      if (went) this.play();
    }, { once: true });
    this.video.src = address;
    this.video.load();
  }

  async #broken() {
    if (!this.fresh) { this.#reload(); return; }
    const gone = await fetch(this.address, { method: "HEAD", redirect: "manual", cache: "no-store" })
      .then((answer) => answer.status === 404, () => false);
    this.#fault(gone ? gettext("This video is not here any more.")
      : gettext("The video could not be loaded. Look whether you are online, then try again."));
  }

  #fault(text) {
    const { fault } = this.parts;
    if (!fault) return;
    fault.hidden = !text;
    $("[data-fault]", fault).textContent = text;
  }
}

onNew((root) => $$("[data-player]", root).forEach(player));
