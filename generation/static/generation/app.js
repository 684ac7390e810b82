// What the pages gain with scripts. Without them every form still posts and every link still leads somewhere.
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const calm = matchMedia("(prefers-reduced-motion: reduce)");

  // --- words -------------------------------------------------------------------------------------------------
  function duration(seconds) {
    if (seconds < 10) return `${seconds.toFixed(1).replace(/\.0$/, "")} s`;
    const whole = Math.round(seconds);
    if (whole < 60) return `${whole} s`;
    const minutes = Math.floor(whole / 60);
    if (minutes < 60) return whole % 60 ? `${minutes} min ${whole % 60} s` : `${minutes} min`;
    return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  }

  function inLine(position) {
    if (position === 1) return "Next in line";
    const teen = position % 100 >= 10 && position % 100 <= 20;
    return `${position}${teen ? "th" : { 1: "st", 2: "nd", 3: "rd" }[position % 10] || "th"} in line`;
  }

  let said = "";
  function announce(text) {
    if (text && text !== said) $("#announce").textContent = said = text;
  }

  // --- small helps on every page, also for what htmx brings in --------------------------------------------------
  function enhance(root) {
    $$("[data-copy]", root).forEach((button) => { button.hidden = !navigator.clipboard; });
    $$("[data-script], [data-examples]", root).forEach((part) => { part.hidden = false; });
    $$("time[data-time]", root).forEach(localTime);
    $$("[data-count]", root).forEach((count) => {
      const field = document.getElementById(count.dataset.count);
      const show = () => { count.textContent = `${[...field.value].length} / ${count.dataset.max}`; };
      field.addEventListener("input", show);
      show();
    });
    $$("[data-range-for]", root).forEach((range) => {
      const number = document.getElementById(range.dataset.rangeFor);
      range.hidden = false;
      range.addEventListener("input", () => { number.value = range.value; showSeconds(); });
      range.addEventListener("change", () => number.dispatchEvent(new Event("change", { bubbles: true })));
      number.addEventListener("input", () => { range.value = number.value; showSeconds(); });
      showSeconds();
    });
    $$("details[data-keep-open]", root).forEach((details) => {
      const key = `open:${details.dataset.keepOpen}`;
      if (sessionStorage.getItem(key)) details.open = true;
      details.addEventListener("toggle", () => {
        if (details.open) sessionStorage.setItem(key, "1"); else sessionStorage.removeItem(key);
      });
    });
    $$("[data-loop]", root).forEach(playOnHover);
    [root, ...$$("#estimate", root)].filter((part) => part.id === "estimate").forEach((place) => place.addEventListener("htmx:beforeSwap", keepSame));
    if (calm.matches) $$("video[autoplay]", root).forEach((video) => { video.autoplay = false; video.pause(); });
  }

  function localTime(time) {
    const date = new Date(time.dateTime);
    if (Number.isNaN(date.getTime())) return;
    const year = date.getFullYear() === new Date().getFullYear() ? undefined : "numeric";
    const day = { day: "numeric", month: "short", year };
    const clock = { hour: "numeric", minute: "2-digit" };
    const style = { day, clock }[time.dataset.time] || { ...day, ...clock };
    time.title = date.toString();
    time.textContent = new Intl.DateTimeFormat(undefined, style).format(date);
  }

  function showSeconds() {
    const output = $("[data-seconds]"), frames = $("#id_num_frames"), fps = $("#id_fps");
    if (!frames || !fps || !(fps.value > 0)) return;
    if (frames.matches("[data-lengths]")) {
      for (const choice of frames.options) choice.text = `${(choice.value / fps.value).toFixed(1).replace(/\.0$/, "")} seconds (${choice.value} frames)`;
    }
    if (output) output.textContent = `${(frames.value / fps.value).toFixed(1)} seconds of video`;
  }

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

  document.addEventListener("click", (event) => {
    const copy = event.target.closest("[data-copy]");
    if (copy) copyText(copy);
    const suggestion = event.target.closest("[data-apply]");
    if (suggestion) { event.preventDefault(); apply(suggestion); }
    const example = event.target.closest("[data-example]");
    if (example) addExample(example.dataset.example);
    $$("details[data-menu][open]").forEach((menu) => { if (!menu.contains(event.target)) menu.open = false; });
  });

  document.addEventListener("keydown", (event) => {
    const menu = $("details[data-menu][open]");
    if (event.key === "Escape" && menu) { menu.open = false; $("summary", menu).focus(); }
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

  async function copyText(button) {
    const label = button.textContent;
    try {
      await navigator.clipboard.writeText($(button.dataset.copy).textContent.trim());
      button.textContent = "Copied";
      announce("Copied");
      setTimeout(() => { button.textContent = label; }, 2000);
    } catch {
      getSelection().selectAllChildren($(button.dataset.copy));
    }
  }

  function addExample(text) {
    const prompt = $("#id_prompt");
    prompt.value = prompt.value.trim() ? `${prompt.value.trim()}, ${text[0].toLowerCase()}${text.slice(1)}` : text;
    prompt.dispatchEvent(new Event("input", { bubbles: true }));
    prompt.focus();
  }

  // --- forms: ask before what cannot be undone, and send once ---------------------------------------------------
  const labels = new WeakMap();  // what stood on a button that is busy

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.confirm && !form.dataset.agreed) {
      event.preventDefault();
      ask(form);
      return;
    }
    const button = event.submitter?.dataset.busy ? event.submitter : $("[data-busy]", form);
    if (form.method !== "post" || !button) return;
    if (button.getAttribute("aria-busy")) { event.preventDefault(); return; }
    button.setAttribute("aria-busy", "true");
    labels.set(button, [...button.childNodes]);
    button.replaceChildren(button.dataset.busy);
  });

  addEventListener("pageshow", () => $$("[aria-busy]").forEach((button) => {  // back again: ready again
    button.removeAttribute("aria-busy");
    if (labels.has(button)) button.replaceChildren(...labels.get(button));
  }));

  function ask(form) {
    const dialog = $("#confirm");
    $("#confirm-title").textContent = form.dataset.confirm;
    $("#confirm-text").textContent = form.dataset.confirmText || "";
    $("#confirm-yes").textContent = form.dataset.confirmYes || "Yes";
    dialog.returnValue = "";
    dialog.addEventListener("close", () => {
      if (dialog.returnValue !== "yes") return;
      const field = Object.assign(document.createElement("input"), { type: "hidden", name: "confirmed", value: "1" });
      form.append(field);
      form.dataset.agreed = "1";
      form.requestSubmit();
    }, { once: true });
    dialog.showModal();
  }

  // --- parts that are asked for every few seconds: what a person does in them is not taken away ---------------------
  const busyIn = (place) => $("dialog[open]") || (getSelection().type === "Range" && place.contains(getSelection().anchorNode));
  const states = (place) => new Map($$("[data-said]", place).map((part) => [part.id, part.dataset.said]));
  let before = new Map();

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.target.matches("[data-live]") && (document.hidden || busyIn(event.target))) event.preventDefault();
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (!event.target.matches("[data-live]")) return;
    if (busyIn(event.target)) event.detail.shouldSwap = false;
    before = states(event.target);
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    // Before the browser paints, so that what was open does not flicker.
    $$("details[data-keep-open]", event.target).forEach((details) => {
      if (sessionStorage.getItem(`open:${details.dataset.keepOpen}`)) details.open = true;
    });
    if (!event.target.matches("[data-live]")) return;
    const news = [...states(event.target)].filter(([id, said]) => before.get(id) !== said).map(([, said]) => said);
    announce(news.join(". "));
  });

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

  // --- a job: live by an event stream, and by asking again where that does not work --------------------------------
  function live(place) {
    let source = null, timer = null, silent = 0;
    const over = (status) => ["succeeded", "failed", "cancelled"].includes(status);
    const refresh = () => place.dispatchEvent(new Event("refresh"));

    function poll(seconds) {
      clearInterval(timer);
      timer = setInterval(() => { if (!document.hidden) refresh(); }, seconds * 1000);
    }

    function stop() {
      clearInterval(timer);
      source?.close();
      source = null;
    }

    function tell(status, message, progress) {
      const quarter = Math.floor((progress || 0) * 4) * 25;
      announce(status === "rendering" && quarter ? `${message}, ${quarter} percent` : message);
      if (!over(status)) document.title = `${progress ? `${Math.floor(progress * 100)} % ` : ""}${message}`;
    }

    function show(job) {
      if (job.status !== place.dataset.status) {
        place.dataset.status = job.status;
        refresh();
        if (over(job.status)) stop();
        return;
      }
      const set = (selector, text) => { const part = $(selector, place); if (part && part.textContent !== text) part.textContent = text; };
      set("[data-message]", job.message);
      set("[data-percent]", job.status === "rendering" && job.progress ? `${Math.floor(job.progress * 100)} %` : "");
      set("[data-eta]", job.eta_s == null ? "" : `about ${duration(job.eta_s)} left`);
      set("[data-position]", job.queue_position ? ` · ${inLine(job.queue_position)}` : "");
      const bar = $("[data-bar]", place);
      if (bar && job.status !== "queued" && job.progress) bar.value = job.progress;
      tell(job.status, job.message, job.progress);
      newFrame();
    }

    function newFrame() {  // at most every two seconds, whoever asks
      const image = $("[data-frame-picture]", place);
      const now = Math.floor(Date.now() / 2000);
      if (image && image.dataset.at !== String(now)) {
        image.dataset.at = now;
        image.src = `${image.dataset.src}?at=${now}`;
      }
    }

    function listen() {
      source = new EventSource(place.dataset.events);
      const heard = (event) => {
        silent = 0;
        poll(20);  // still a look now and then: a preview frame that appears, a stream that hangs
        try { show(JSON.parse(event.data)); } catch { refresh(); }
      };
      source.addEventListener("message", heard);
      source.addEventListener("job", heard);
      source.addEventListener("gone", () => { stop(); location.assign("/library"); });
      source.addEventListener("done", () => { source?.close(); refresh(); });
      source.addEventListener("error", () => {
        silent += 1;
        poll(2.5);
        if (silent < 3 && source?.readyState !== EventSource.CLOSED) return;
        source?.close();
        source = null;
        setTimeout(() => { if (!over(place.dataset.status) && !source) listen(); }, 30_000);
      });
    }

    place.addEventListener("htmx:afterSwap", () => {
      const state = $("[data-state]", place);
      place.dataset.status = state.dataset.status;
      tell(state.dataset.status, state.dataset.words, Number($("[data-bar]", place)?.value || 0));
      if (over(state.dataset.status)) { stop(); document.title = `${state.dataset.words} · Image to Video`; }
    });
    place.addEventListener("htmx:responseError", (event) => { if (event.detail.xhr.status === 404) stop(); });
    setInterval(() => {
      const elapsed = $("[data-elapsed]", place);
      if (!elapsed) return;
      elapsed.dataset.elapsed = Number(elapsed.dataset.elapsed) + 1;
      elapsed.textContent = duration(Math.round(elapsed.dataset.elapsed));
    }, 1000);
    document.addEventListener("visibilitychange", () => { if (!document.hidden && timer) refresh(); });
    addEventListener("pagehide", stop);
    addEventListener("pageshow", (event) => { if (event.persisted) refresh(); });
    poll(2.5);
    if (window.EventSource) listen();
  }

  // --- start ------------------------------------------------------------------------------------------------------
  document.addEventListener("htmx:load", (event) => { if (event.target !== document.body) enhance(event.target); });
  document.addEventListener("allauth.error", (event) => {
    event.preventDefault();
    const place = $("#key-error");
    if (place) { place.hidden = false; place.textContent = "That did not work. The key was not used, or this browser does not support it."; }
  });
  enhance(document);
  const create = $("[data-create]");
  if (create) picture(create);
  const job = $("[data-job][data-events]");
  if (job) live(job);
})();
