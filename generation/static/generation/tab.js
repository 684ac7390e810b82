// What one notices without looking at the page: its title and icon, and, for who wants it, a sound and a notification.
import { $, $$, gettext, onNew, format } from "./core.js";
import { isOver, queue, unfinished } from "./watch.js";

// --- title and icon ----------------------------------------------------------------------------------------------------
const icon = $('link[rel="icon"]');
const plain = icon?.getAttribute("href");
let shown = "", drawn = -1, ended = "";

// The count of notices stands before it (notices.js), the page's own title behind it.
function title(words) {
  const [, notices] = document.title.match(/^(\(\d+\) )?/);
  const rest = document.title.slice((notices ?? "").length);
  const own = shown && rest.startsWith(shown) ? rest.slice(shown.length) : rest;
  shown = words ? `${words} · ` : "";
  const wanted = `${notices ?? ""}${shown}${own}`;
  if (document.title !== wanted) document.title = wanted;
}

function draw(share) {
  const step = Math.round(share * 50);
  if (step === drawn || !icon) return;
  drawn = step;
  const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 64 });
  const pen = canvas.getContext("2d");
  const ring = (from, to, colour) => {
    pen.beginPath();
    pen.arc(32, 32, 26, (from - 0.25) * 2 * Math.PI, (to - 0.25) * 2 * Math.PI);
    Object.assign(pen, { lineWidth: 11, strokeStyle: colour });
    pen.stroke();
  };
  ring(0, 1, "#b9b4c6");
  ring(0, Math.max(share, 0.03), "#5145cd");
  pen.fillStyle = "#5145cd";
  pen.fill(new Path2D("M26 21v22l18-11z"));
  icon.type = "image/png";
  icon.href = canvas.toDataURL();
}

function restore() {
  if (drawn === -1 || !icon) return;
  drawn = -1;
  icon.type = "image/svg+xml";
  icon.href = plain;
}

function showTab() {
  const jobs = [...unfinished.values()];
  if (!jobs.length) {
    restore();
    title(document.hidden ? ended : "");
    return;
  }
  const share = jobs.reduce((sum, job) => sum + (job.progress || 0), 0) / jobs.length;
  draw(share);
  const running = jobs.some((job) => job.status !== "queued");
  if (running) title(format(gettext("%(percent)s %"), { percent: Math.floor(share * 100) }));
  else title(queue.paused ? gettext("Paused") : gettext("Waiting"));
}

// --- when one has ended ----------------------------------------------------------------------------------------------------
const wants = (what) => localStorage.getItem(`done-${what}`) === "1";

function beep() {
  const sound = new AudioContext();
  [660, 880].forEach((pitch, number) => {
    const tone = sound.createOscillator(), loudness = sound.createGain(), from = sound.currentTime + number * 0.16;
    tone.frequency.value = pitch;
    loudness.gain.setValueAtTime(0.0001, from);
    loudness.gain.exponentialRampToValueAtTime(0.12, from + 0.02);
    loudness.gain.exponentialRampToValueAtTime(0.0001, from + 0.3);
    tone.connect(loudness).connect(sound.destination);
    tone.start(from);
    tone.stop(from + 0.32);
  });
  setTimeout(() => sound.close(), 1000);
}

async function notify(job) {
  if (!document.hidden || !window.Notification || Notification.permission !== "granted") return;
  const words = job.status === "succeeded" ? gettext("Your video is done") : gettext("Your video could not be made");
  const options = { body: job.prompt, icon: plain, tag: job.id };
  try {
    const note = new Notification(words, options);
    note.addEventListener("click", () => { window.focus(); location.assign(`/jobs/${job.id}`); note.close(); });
  } catch {  // on phones only the service worker may
    (await navigator.serviceWorker?.getRegistration())?.showNotification(words, options);
  }
}

// Every open tab hears of it; only the first one says so.
function isFirst(id) {
  const told = JSON.parse(localStorage.getItem("told") || "[]");
  if (told.includes(id)) return false;
  localStorage.setItem("told", JSON.stringify([...told, id].slice(-30)));
  return true;
}

document.addEventListener("i2v:job", ({ detail: job }) => {
  if (isOver(job) && job.status !== "cancelled") {
    ended = job.status === "succeeded" ? gettext("Done") : gettext("Failed");
    if ((wants("sound") || wants("notify")) && isFirst(job.id)) {
      if (wants("sound")) beep();
      if (wants("notify")) notify(job);
    }
  }
  showTab();
});
["i2v:gone", "i2v:queue"].forEach((name) => document.addEventListener(name, showTab));
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) { ended = ""; if (!unfinished.size) title(""); }
});

// --- the switches in the drawer ------------------------------------------------------------------------------------------
onNew((root) => {
  $$("[data-sound]", root).forEach((box) => {
    box.checked = wants("sound");
    box.addEventListener("change", () => {
      localStorage.setItem("done-sound", box.checked ? "1" : "0");
      if (box.checked) beep();  // so that one knows what to listen for
    });
  });
  $$("[data-notify]", root).forEach((box) => {
    const refused = box.closest("fieldset").querySelector("[data-notify-refused]");
    box.checked = wants("notify") && window.Notification?.permission === "granted";
    box.addEventListener("change", async () => {
      const allowed = box.checked && await window.Notification?.requestPermission() === "granted";
      refused.hidden = !box.checked || allowed;
      box.checked = allowed;
      localStorage.setItem("done-notify", allowed ? "1" : "0");
    });
  });
});
