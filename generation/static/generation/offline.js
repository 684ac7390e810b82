// The page for when there is no network: it goes away by itself.
addEventListener("online", () => location.reload());
