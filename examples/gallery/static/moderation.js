// Sends verdicts without leaving the page, and updates the lists live.
import { fill, listen, send, tell } from "./live.js";

const desk = document.getElementById("desk");

desk.addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await send(event.target, event.submitter);
  if (answer) tell(answer);
});

listen("/moderation/events", {
  desk({ html }) {
    const focused = desk.contains(document.activeElement) ? document.activeElement : null;
    const section = focused?.closest("section")?.getAttribute("aria-labelledby");
    const unfolded = [...desk.querySelectorAll("details[open]")].map((one) => one.closest(".case").id);
    fill(desk, html);
    for (const id of unfolded) document.querySelector(`#${id} details`)?.setAttribute("open", "");
    if (focused) (document.getElementById(focused.id) ?? document.getElementById(section))?.focus();
  },
});
