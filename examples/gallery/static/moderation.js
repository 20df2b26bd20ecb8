// Sends verdicts without leaving the page, and updates both lists live.
import { listen, say, send } from "./live.js";

const desk = document.getElementById("desk");

desk.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { message, error } = await send(event.target, event.submitter);
  say("status", message ?? "");
  say("error", error ?? "");
});

listen("/moderation/events", {
  desk({ html }) {
    const focused = desk.contains(document.activeElement) ? document.activeElement : null;
    const section = focused?.closest("section")?.getAttribute("aria-labelledby");
    desk.innerHTML = html;
    if (focused) (document.getElementById(focused.id) ?? document.getElementById(section))?.focus();
  },
});
