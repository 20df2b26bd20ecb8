// Sends reports from a dialog instead of a page, takes them back, and updates the pictures' states live.
import { fill, listen, localise, say, send, tell } from "./live.js";

const dialog = document.getElementById("report");
const form = dialog.querySelector("form");
const heading = document.getElementById("report-title");
const problem = dialog.querySelector("[role=alert]");
const note = document.getElementById("report-note");
const news = document.getElementById("news");
const wall = document.getElementById("wall");
const said = new Map(); // the last news of each picture
let shown = ""; // the picture in the dialog

const card = (id) => document.getElementById(`card-${id}`);

wall.addEventListener("click", (event) => {
  const link = event.target.closest("[data-report]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  open(link);
});

// Without this script, it is a link to a page; with it, it behaves like a button.
function makeButtons() {
  for (const link of wall.querySelectorAll("[data-report]")) link.role = "button";
}
makeButtons();

wall.addEventListener("keydown", (event) => {
  const link = event.target.closest("[data-report]");
  if (!link || event.key !== " ") return;
  event.preventDefault();
  open(link);
});

function open(link) {
  form.reset();
  shown = link.dataset.report;
  form.action = `/report/${shown}`;
  problem.textContent = "";
  heading.textContent = form.dataset.title.replace("{title}", link.dataset.title);
  describe();
  dialog.showModal();
}

/** Shows in the dialog what is true of its picture now: it may go while the dialog is open. */
function describe() {
  const now = card(shown);
  const { innerHTML } = now.querySelector(".note");
  if (note.innerHTML !== innerHTML) fill(note, innerHTML);
  const picture = document.getElementById("report-picture");
  picture.replaceChildren(now.querySelector("img, .missing").cloneNode(true));
  picture.classList.toggle("blocked", now.dataset.state === "blocked");
  const gone = !now.querySelector("[data-report]");
  const lost = gone && form.contains(document.activeElement);
  for (const part of [form.querySelector("fieldset"), form.querySelector(".main")]) {
    part.hidden = gone;
    part.disabled = gone;
  }
  const close = dialog.querySelector("[data-close]");
  close.textContent = gone ? close.dataset.gone : close.dataset.close;
  if (lost) close.focus();
}

/** Puts the keyboard's focus where the picture is. */
function focus(place) {
  place.tabIndex = -1;
  place.focus();
}

dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => {
  // The event comes a moment after the close: the dialog may be open again by then, or closed twice.
  if (dialog.open || !shown) return;
  // The button that opened it is gone if the picture's state has changed.
  if (!wall.contains(document.activeElement)) focus(card(shown));
  shown = "";
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await send(form, event.submitter);
  if (!answer) return;
  if (answer.error) return say(problem, answer.error);
  dialog.close();
  confirm(answer);
});

wall.addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await send(event.target, event.submitter);
  if (answer) confirm(answer);
});

function confirm(answer) {
  tell(answer);
  since();
}

/** Adds to a confirmation what has become of its picture since. */
function since() {
  const status = document.getElementById("status");
  const about = status.dataset.about;
  const line = document.querySelector("#notice .since");
  if (!about || !line) return;
  line.hidden = card(about).dataset.state === status.dataset.state;
  line.textContent = line.hidden ? "" : said.get(about) ?? "";
}

listen("/events", {
  card({ id, state, standing, html, say: text }) {
    const place = card(id);
    said.set(id, text);
    if (!place || place.dataset.standing === standing) return;
    const focused = place.contains(document.activeElement);
    const turned = place.dataset.state !== state;
    place.dataset.state = state;
    place.dataset.standing = standing;
    fill(place, html);
    makeButtons();
    if (focused) focus(place);
    if (turned) say(news, text);
    if (shown === id) describe();
    since();
  },
});

localise(wall);
