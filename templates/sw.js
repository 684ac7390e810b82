// The service worker: a page of our own when there is no network, and the files that this page needs. Nothing that
// belongs to somebody is ever kept: no other page, no answer of the API, no picture, no video.
const KEPT = "shell-{{ version }}";
const OFFLINE = "{% url 'offline' %}";
const SHELL = {{ shell|safe }};

addEventListener("install", (event) => {
  event.waitUntil((async () => {
    const kept = await caches.open(KEPT);
    await kept.addAll([...SHELL, new Request(OFFLINE, { cache: "reload" })]);
    await skipWaiting();
  })());
});

addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    const old = (await caches.keys()).filter((name) => name !== KEPT);
    await Promise.all(old.map((name) => caches.delete(name)));
    await registration.navigationPreload?.enable();
    await clients.claim();
  })());
});

async function page(event) {
  try {
    return await event.preloadResponse || await fetch(event.request);
  } catch {
    return await caches.match(OFFLINE) || Response.error();
  }
}

addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET") return;
  if (request.mode === "navigate") event.respondWith(page(event));
  else if (SHELL.includes(new URL(request.url).pathname)) event.respondWith(caches.match(request).then((found) => found || fetch(request)));
});

// On phones only a service worker may notify (tab.js); what it tells of is in the tag.
addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(clients.openWindow(`/jobs/${event.notification.tag}`));
});
