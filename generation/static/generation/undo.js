// "Deleted. Undo" at the foot of the page instead of a message at its head.
import { $, $$, gettext } from "./core.js";
import { toast } from "./toast.js";

async function takeBack(form) {
  const answer = await fetch(form.action, { method: "POST", body: new FormData(form), headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error((await answer.json()).error?.message || gettext("It could not be undone."));
  location.reload();
}

$$("[data-undo]").forEach((form) => {
  toast($("[data-undo-words]", form).textContent, { undo: () => takeBack(form), seconds: 25 });
  form.hidden = true;
});
