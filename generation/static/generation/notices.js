// What ended while a person was on another page: the region in the corner, and the count in the tab's title.
"use strict";
(() => {
  const count = () => {
    const unseen = Number(document.getElementById("notices")?.dataset.unseen) || 0;
    const title = document.title.replace(/^\(\d+\) /, "");
    document.title = unseen ? `(${unseen}) ${title}` : title;
  };

  // A page in a hidden tab shows nothing to anybody, so what it would show stays unseen.
  document.addEventListener("htmx:configRequest", (event) => {
    if (event.target.id === "notices" && !document.hidden) event.detail.parameters.visible = "1";
  });

  // After the session has ended, the answer is another page; it has no place in the corner.
  let wasWithin = false;
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { target, xhr } = event.detail;
    if (target?.id !== "notices") return;
    wasWithin = target.contains(document.activeElement);
    if (!xhr.responseText.trimStart().startsWith('<div id="notices"')) event.detail.shouldSwap = false;
  });

  // The dismissed notice takes the focus with it. Only then: a fresh page begins with its first link.
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target?.id === "notices" && wasWithin && document.activeElement === document.body) document.getElementById("main")?.focus({ preventScroll: true });
  });

  document.addEventListener("htmx:load", (event) => {
    if (event.target.id === "notices" || event.target.querySelector?.("#notices")) count();
  });

  const lookAgain = () => document.body.dispatchEvent(new Event("look-again"));

  // The notice is written together with the end of the video (watch.js), so it is there when that is heard of.
  document.addEventListener("i2v:job", (event) => { if (["succeeded", "failed"].includes(event.detail.status)) lookAgain(); });
  document.addEventListener("i2v:reset", lookAgain);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) lookAgain(); });
})();
