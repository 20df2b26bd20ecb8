// Sends reports from a dialog instead of a page, and updates blocks live.
import { listen, say, send } from "./live.js";

const dialog = document.getElementById("report");
const form = dialog.querySelector("form");
const problem = dialog.querySelector("[role=alert]");
const wall = document.getElementById("wall");

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
  form.action = `/report/${link.dataset.report}`;
  problem.textContent = "";
  dialog.querySelector("h2").textContent = form.dataset.title.replace("{title}", link.dataset.title);
  dialog.showModal();
}

dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { message, error } = await send(form, event.submitter);
  if (error) return say(problem, error);
  dialog.close();
  say("status", message);
});

listen("/events", {
  card({ id, state, html, say: text }) {
    const card = document.getElementById(`card-${id}`);
    if (!card || card.dataset.state === state) return;
    const focused = card.contains(document.activeElement);
    card.dataset.state = state;
    card.innerHTML = html;
    makeButtons();
    if (focused) {
      card.tabIndex = -1;
      card.focus();
    }
    say("news", text);
  },
});
