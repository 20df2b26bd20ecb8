// Server-sent events and messages: shared by the scripts of the pages.

const paused = document.getElementById("paused");

/** Listens at an address; `handlers` get the data of each named event. The browser reconnects by itself. */
export function listen(address, handlers) {
  const source = new EventSource(address);
  source.addEventListener("open", () => { paused.textContent = ""; });
  source.addEventListener("error", () => {
    paused.textContent = paused.dataset.text;
    // A browser doesn't reconnect after an error answer, but the server may only be starting.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => listen(address, handlers), 2000);
  });
  for (const [name, handle] of Object.entries(handlers)) {
    source.addEventListener(name, (event) => handle(JSON.parse(event.data)));
  }
  // A page in the back-forward cache must not keep one of the few connections, nor show an old state.
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
}

/** Shows a text where screen readers notice it, even if it is the same as before. */
export function say(id, text) {
  const place = typeof id === "string" ? document.getElementById(id) : id;
  place.textContent = "";
  requestAnimationFrame(() => { place.textContent = text; });
}

/** Sends a form like the browser does; returns {message} or {error}. `submitter` is the pressed button. */
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
