// Starts attacks without leaving the page, and updates the log and the pictures' states live.
import { fill, listen, localise, send, tell } from "./live.js";

const form = document.getElementById("brigade");
const log = document.getElementById("log");
const again = document.getElementById("again");
const happened = document.querySelector(".happened");

addEventListener("submit", async (event) => {
  if (event.submitter?.name === "lang") return; // the next page takes the form's fields along
  event.preventDefault();
  // On a narrow screen the log is below the form.
  happened.scrollIntoView({ block: "nearest" });
  const answer = await send(event.target, event.submitter);
  if (answer) tell(answer);
});

listen(`/brigade/events?seen=${log.dataset.seen}`, {
  entry({ html, again: repeat }) {
    log.querySelector(".none")?.remove();
    log.insertAdjacentHTML("afterbegin", html);
    localise(log);
    if (again.innerHTML.trim() !== repeat.trim()) {
      const focused = again.contains(document.activeElement);
      fill(again, repeat);
      if (focused) again.querySelector("button")?.focus();
    }
  },
  card({ id, state, thumb }) {
    const shown = form.querySelector(`[data-picture="${id}"]`);
    if (!shown || shown.dataset.state === state) return;
    shown.dataset.state = state;
    fill(shown, thumb);
  },
});
