// Shows a new code before the old one expires. Timers of a phone stop while it sleeps, so the clock
// decides, not the timer. A hidden page waits for its visitor: a new code would cost.
(() => {
  const LONGEST_TIMER = 86_400_000;
  const SHORTEST_PAUSE = 10_000;
  const loaded = Date.now();
  const seconds = Number(document.getElementById("code").dataset.renewIn);
  const due = loaded + Math.max(seconds * 1000, SHORTEST_PAUSE);
  let timer;
  const look = () => {
    clearTimeout(timer);
    if (document.hidden) return;
    const left = due - Date.now();
    if (left <= 0) {
      location.reload();
    } else {
      timer = setTimeout(look, Math.min(left, LONGEST_TIMER));
    }
  };
  addEventListener("pageshow", look);
  document.addEventListener("visibilitychange", look);
})();
