// Server-sent events, messages and times: shared by the scripts of the pages.

const paused = document.getElementById("paused");
const error = document.getElementById("error");
const notice = document.getElementById("notice");
const language = document.documentElement.lang;
const locale = navigator.languages.find((one) => one.startsWith(language)) ?? language;
const forms = {
  day: new Intl.DateTimeFormat(locale, { dateStyle: "long" }),
  moment: new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" }),
};

/** Shows the times below an element in the visitor's own time zone; the server writes them in UTC. */
export function localise(root) {
  for (const time of root.querySelectorAll("time[data-as]")) {
    time.title = `${time.dateTime.slice(0, 19).replace("T", " ")} UTC`;
    time.textContent = forms[time.dataset.as].format(new Date(time.dateTime));
    delete time.dataset.as;
  }
}

/** Replaces an element's content by HTML of this site. */
export function fill(element, html) {
  element.innerHTML = html;
  localise(element);
}

/** Listens at an address; `handlers` get the data of each named event. The browser reconnects by itself. */
export function listen(address, handlers) {
  const source = new EventSource(address);
  source.addEventListener("open", () => put(paused, ""));
  source.addEventListener("error", () => {
    put(paused, paused.dataset.text);
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
export function say(place, text) {
  place.textContent = "";
  requestAnimationFrame(() => put(place, text));
}

function put(place, text) {
  place.textContent = text;
  place.closest(".message")?.toggleAttribute("data-empty", !text);
}

/** Shows what an answer says: {notice} as HTML of this site, or {error}. */
export function tell({ notice: html, error: text }) {
  say(error, text ?? "");
  notice.closest(".message").toggleAttribute("data-empty", !html);
  fill(notice, html ?? '<p id="status"></p>');
}

const messages = document.querySelector(".messages");

messages.addEventListener("click", (event) => {
  const close = event.target.closest(".close");
  if (!close) return;
  event.preventDefault();
  dismiss(close);
  document.getElementById("content").focus({ preventScroll: true });
});

addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || document.querySelector("dialog[open]")) return;
  messages.querySelectorAll(".message:not([data-empty]) .close").forEach(dismiss);
});

function dismiss(close) {
  const message = close.closest(".message");
  message.dataset.empty = "";
  for (const text of message.querySelectorAll("p")) text.textContent = "";
  // What a plain form left in the address would bring the message back.
  history.replaceState(null, "", close.href + location.hash);
}

// The second click of a double click is no second wish, least of all for a button that has just come to be there.
addEventListener("click", (event) => {
  if (event.detail < 2 || !event.target.closest("button, a")) return;
  event.preventDefault();
  event.stopImmediatePropagation();
}, true);

/**
 * Sends a form like the browser does; returns {notice} or {error}, and null if it is being sent already.
 * `submitter` is the pressed button.
 */
export async function send(form, submitter) {
  if (submitter.ariaDisabled) return null;
  submitter.ariaDisabled = "true";
  const fields = new URLSearchParams(new FormData(form, submitter));
  const address = submitter.getAttribute("formaction") ?? form.getAttribute("action");
  try {
    const answer = await fetch(address, {
      method: "POST", body: fields, headers: { Accept: "application/json" }, redirect: "error",
    });
    return await answer.json();
  } catch {
    return { error: error.dataset.unsent };
  } finally {
    submitter.ariaDisabled = null;
  }
}

localise(document);
