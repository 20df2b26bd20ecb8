// Starts attacks without leaving the page, and updates the log and the pictures' states live.
import { listen, say, send } from "./live.js";

const form = document.getElementById("brigade");
const log = document.getElementById("log");
const happened = document.querySelector(".happened");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  // On a narrow screen the log is below the form.
  happened.scrollIntoView({ block: "nearest" });
  const { error } = await send(form, event.submitter);
  say("error", error ?? "");
});

listen(`/brigade/events?seen=${log.dataset.seen}`, {
  entry({ html }) {
    log.querySelector(".none")?.remove();
    log.insertAdjacentHTML("afterbegin", html);
  },
  card({ id, state, thumb }) {
    const shown = form.querySelector(`[data-picture="${id}"]`);
    if (!shown || shown.dataset.state === state) return;
    shown.dataset.state = state;
    shown.innerHTML = thumb;
  },
});
