// Server-sent events, messages and times: shared by the scripts of the pages.

const HOLD = 600; // milliseconds in which a second click is no new wish
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

document.querySelector(".messages").addEventListener("click", (event) => {
  const close = event.target.closest(".close");
  if (!close) return;
  event.preventDefault();
  close.closest(".message").dataset.empty = "";
  for (const text of close.closest(".message").querySelectorAll("p")) text.textContent = "";
  // What a plain form left in the address would bring the message back.
  history.replaceState(null, "", close.href + location.hash);
  document.getElementById("content").focus({ preventScroll: true });
});

let pointer = null; // where the last input was made; null by keyboard
let last = { time: 0, pointer: null, submitter: null }; // what was sent last
addEventListener("pointerdown", ({ clientX: x, clientY: y }) => { pointer = { x, y }; }, true);
addEventListener("keydown", () => { pointer = null; }, true);

/**
 * Whether this belongs to the double click that sent something: soon after it, by the same button or at the
 * same place, where another button may have come to be.
 */
export function isSecondClick(submitter) {
  if (Date.now() - last.time >= HOLD) return false;
  const near = pointer && last.pointer && Math.hypot(pointer.x - last.pointer.x, pointer.y - last.pointer.y) < 8;
  return Boolean(near) || submitter === last.submitter;
}

/**
 * Sends a form like the browser does; returns {notice} or {error}, and null for a second click.
 * `submitter` is the pressed button.
 */
export async function send(form, submitter) {
  if (isSecondClick(submitter) || submitter.ariaDisabled) return null;
  last = { time: Date.now(), pointer, submitter };
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
