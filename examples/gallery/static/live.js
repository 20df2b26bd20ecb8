// Server-sent events, and saying things: shared by the pages' own scripts.

const paused = document.getElementById("paused");

/** Listens at an address; `handlers` get each named event's data. The browser connects again by itself. */
export function listen(address, handlers) {
  const source = new EventSource(address);
  source.addEventListener("open", () => { paused.textContent = ""; });
  source.addEventListener("error", () => {
    paused.textContent = paused.dataset.text;
    // A browser gives up for good where the answer was an error; the server may only be starting.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => listen(address, handlers), 2000);
  });
  for (const [name, handle] of Object.entries(handlers)) {
    source.addEventListener(name, (event) => handle(JSON.parse(event.data)));
  }
  // A page kept for the back button must not keep one of the few connections, nor show what was.
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
}

/** Shows a text where screen readers notice it, also where the same was said before. */
export function say(id, text) {
  const place = typeof id === "string" ? document.getElementById(id) : id;
  place.textContent = "";
  requestAnimationFrame(() => { place.textContent = text; });
}

/** Sends a form as it would send itself; gives {message} or {error}. `submitter` is the button pressed. */
export async function send(form, submitter) {
  const fields = new URLSearchParams(new FormData(form, submitter));
  const address = submitter?.getAttribute("formaction") ?? form.getAttribute("action");
  try {
    const answer = await fetch(address, {
      method: "POST", body: fields, headers: { Accept: "application/json" }, redirect: "error",
    });
    return await answer.json();
  } catch {
    return { error: document.getElementById("error").dataset.unsent };
  }
}
