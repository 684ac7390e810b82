// The page where a video begins.
import { $, $$, announce, onNew } from "./core.js";

onNew((root) => {
  $$("[data-range-for]", root).forEach((range) => {
    const number = document.getElementById(range.dataset.rangeFor);
    range.hidden = false;
    range.addEventListener("input", () => { number.value = range.value; showSeconds(); });
    range.addEventListener("change", () => number.dispatchEvent(new Event("change", { bubbles: true })));
    number.addEventListener("input", () => { range.value = number.value; showSeconds(); });
    showSeconds();
  });
  [root, ...$$("#estimate", root)].filter((part) => part.id === "estimate").forEach((place) => place.addEventListener("htmx:beforeSwap", keepSame));
});

function showSeconds() {
  const output = $("[data-seconds]"), frames = $("#id_num_frames"), fps = $("#id_fps");
  if (!frames || !fps || !(fps.value > 0)) return;
  if (frames.matches("[data-lengths]")) {
    for (const choice of frames.options) choice.text = `${(choice.value / fps.value).toFixed(1).replace(/\.0$/, "")} seconds (${choice.value} frames)`;
  }
  if (output) output.textContent = `${(frames.value / fps.value).toFixed(1)} seconds of video`;
}

document.addEventListener("click", (event) => {
  const suggestion = event.target.closest("[data-apply]");
  if (suggestion) { event.preventDefault(); apply(suggestion); }
  const example = event.target.closest("[data-example]");
  if (example) addExample(example.dataset.example);
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.id === "id_preset_name") {
    event.preventDefault();
    event.target.closest(".row").querySelector("button").click();
  }
  // Enter in a field settles its value; what costs money is pressed by its name.
  if (event.key === "Enter" && !event.defaultPrevented && !event.isComposing && event.target.matches("[data-create] input:not([type=file])")) {
    event.preventDefault();
    if (!event.target.matches("[type=radio], [type=checkbox]")) event.target.dispatchEvent(new Event("change", { bubbles: true }));
  }
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.id === "id_prompt") $("#go").click();
});

// A suggestion is a query string: each field gets its value as if it had been typed.
function apply(button) {
  for (const [name, value] of new URLSearchParams(button.value)) {
    const form = button.form;
    const field = $(`input[type="radio"][name="${name}"][value="${CSS.escape(value)}"]`, form) || $(`[name="${name}"]:not([type="radio"])`, form);
    if (!field || field.disabled || (field.type === "radio" && field.checked)) continue;
    if (field.type === "radio") field.checked = true; else field.value = value;
    for (let around = field.closest("details"); around; around = around.parentElement.closest("details")) around.open = true;
    field.focus();
    for (const kind of ["input", "change"]) field.dispatchEvent(new Event(kind, { bubbles: true }));
    announce(`Applied: ${button.textContent.replace("Apply:", "").trim()}`);
  }
}

function addExample(text) {
  const prompt = $("#id_prompt");
  prompt.value = prompt.value.trim() ? `${prompt.value.trim()}, ${text[0].toLowerCase()}${text.slice(1)}` : text;
  prompt.dispatchEvent(new Event("input", { bubbles: true }));
  prompt.focus();
}

// The same answer again is not read out again and takes no focus away. One about settings that are gone meanwhile, or
// for a form that is being sent, is too late. (Heard at the place itself: what is gone has no document above it.)
function keepSame(event) {
  const place = event.currentTarget, text = event.detail.serverResponse;
  if (event.target !== place) return;
  if (!place.isConnected || text === place.lastAnswer || $("#go[aria-busy]")) event.detail.shouldSwap = false;
  place.lastAnswer = text;
}

// --- create: the picture and what is kept of it -----------------------------------------------------------------
function picture(form) {
  const stage = $("[data-stage]", form), drop = $("[data-drop]", form), frame = $("[data-frame]", form);
  const input = $("#id_image", form), shot = $("[data-shot]", form), preview = $("[data-preview]", form);
  const crop = $("[data-crop]", form), hint = $("[data-crop-hint]", form), name = $("[data-picture-name]", form);
  const id = $("[data-image-id]", form), error = $("[data-picture-error]", form), clear = $("[data-clear]", form);
  const focus = { x: $("[data-focus-x]", form), y: $("[data-focus-y]", form) };
  const sides = { width: $("[data-picture-width]", form), height: $("[data-picture-height]", form) };

  const fail = (text) => { error.textContent = text; error.hidden = !text; };

  function show(source, text) {
    preview.removeAttribute("width");
    preview.removeAttribute("height");
    preview.src = source;
    name.textContent = text;
    drop.hidden = true;
    frame.hidden = clear.hidden = false;
    stage.classList.add("full");
    stage.classList.remove("bad");
    focus.x.value = focus.y.value = 0.5;
    $$("#err-image, #err-image-id", form).forEach((old) => old.remove());
    form.dispatchEvent(new Event("change", { bubbles: true }));
  }

  function take(file) {
    fail("");
    if (!["image/jpeg", "image/png", "image/webp"].includes(file.type)) return fail("Choose a JPEG, PNG or WebP picture.");
    if (file.size > Number(stage.dataset.maxBytes)) return fail("This picture is too big.");
    const files = new DataTransfer();
    files.items.add(file);
    input.files = files.files;
    id.value = "";
    mark(null);
    show(URL.createObjectURL(file), file.name);
    return undefined;
  }

  function mark(chosen) {
    $$("[data-pick]", form).forEach((thumb) => (thumb === chosen ? thumb.setAttribute("aria-current", "true") : thumb.removeAttribute("aria-current")));
  }

  input.addEventListener("change", () => { if (input.files[0]) take(input.files[0]); });
  clear.addEventListener("click", () => {
    input.value = id.value = "";
    preview.removeAttribute("src");
    mark(null);
    frame.hidden = clear.hidden = true;
    drop.hidden = false;
    stage.classList.remove("full");
    measure();
    input.focus();
  });
  $$("[data-pick]", form).forEach((thumb) => thumb.addEventListener("click", (event) => {
    event.preventDefault();
    fail("");
    input.value = "";
    id.value = thumb.dataset.pick;
    mark(thumb);
    show(thumb.dataset.full, `${thumb.dataset.name} · ${thumb.dataset.width} × ${thumb.dataset.height}`);
    announce(`Chosen: ${thumb.dataset.name}`);
  }));

  // The whole page takes a dropped or pasted picture: people miss small targets.
  const carriesFile = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
  addEventListener("dragover", (event) => { if (carriesFile(event)) { event.preventDefault(); stage.classList.add("over"); } });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) stage.classList.remove("over"); });
  addEventListener("drop", (event) => {
    stage.classList.remove("over");
    if (!carriesFile(event)) return;
    event.preventDefault();
    if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
  });
  addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files || [])].find((item) => item.type.startsWith("image/"));
    if (file) { event.preventDefault(); take(file); }
  });

  // The size that "Auto" will choose: the same rule as on the server.
  function size() {
    const chosen = $('input[name="size"]:checked', form);
    if (!chosen) return null;
    const parse = (text) => text.split("x").map(Number);
    if (chosen.value) return parse(chosen.value);
    const aspect = preview.naturalWidth / preview.naturalHeight;
    const away = ([width, height]) => Math.abs(Math.log(width / height / aspect));
    return chosen.dataset.sizes.split(",").map(parse).reduce((best, next) => (away(next) < away(best) ? next : best));
  }

  function kept() {  // shares of the picture that stay, at most 1
    const [width, height] = size(), aspect = width / height;
    const own = preview.naturalWidth / preview.naturalHeight;
    return own > aspect ? { x: aspect / own, y: 1 } : { x: 1, y: own / aspect };
  }

  const between = (value, least, most) => Math.min(most, Math.max(least, value));

  function draw() {
    const ready = preview.naturalWidth > 0 && !frame.hidden && size();
    if (!ready) { crop.hidden = hint.hidden = true; return; }
    const share = kept(), uncut = share.x > 0.995 && share.y > 0.995;
    crop.hidden = hint.hidden = uncut;
    shot.classList.toggle("aim", !uncut);
    const left = between(focus.x.value - share.x / 2, 0, 1 - share.x), top = between(focus.y.value - share.y / 2, 0, 1 - share.y);
    crop.style.left = `${preview.offsetLeft + left * preview.offsetWidth}px`;
    crop.style.top = `${preview.offsetTop + top * preview.offsetHeight}px`;
    crop.style.width = `${share.x * preview.offsetWidth}px`;
    crop.style.height = `${share.y * preview.offsetHeight}px`;
  }

  function aim(x, y) {
    const share = kept();
    focus.x.value = between(x, share.x / 2, 1 - share.x / 2).toFixed(4);
    focus.y.value = between(y, share.y / 2, 1 - share.y / 2).toFixed(4);
    draw();
  }

  let dragging = false;
  const follow = (event) => {
    const box = preview.getBoundingClientRect();
    aim((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  };
  shot.addEventListener("pointerdown", (event) => { if (!crop.hidden) { dragging = true; event.preventDefault(); shot.focus({ preventScroll: true }); follow(event); } });
  addEventListener("pointermove", (event) => { if (dragging) follow(event); });
  addEventListener("pointerup", () => { dragging = false; });
  shot.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step || crop.hidden) return;
    event.preventDefault();
    const reach = event.shiftKey ? 0.1 : 0.02;
    aim(Number(focus.x.value) + step[0] * reach, Number(focus.y.value) + step[1] * reach);
    announce(`Centre at ${Math.round(focus.x.value * 100)} percent from the left, ${Math.round(focus.y.value * 100)} percent from the top`);
  });

  // The size is told before the picture is sent: it decides on the size of the video, and on warnings.
  function measure() {
    const old = [sides.width.value, sides.height.value].join();
    sides.width.value = frame.hidden ? "" : preview.naturalWidth || "";
    sides.height.value = frame.hidden ? "" : preview.naturalHeight || "";
    if (old !== [sides.width.value, sides.height.value].join()) form.dispatchEvent(new Event("change", { bubbles: true }));
  }

  preview.addEventListener("load", draw);
  preview.addEventListener("load", measure);
  form.addEventListener("change", draw);
  document.body.addEventListener("htmx:afterSettle", draw);
  new ResizeObserver(draw).observe(shot);
  if (!frame.hidden) { clear.hidden = false; stage.classList.add("full"); }
  draw();
  $("[aria-invalid]", form)?.focus();
}

const form = $("[data-create]");
if (form) picture(form);
