// Shows in the demo how the numbers of the code move. Without it there are none.
(() => {
  const numbers = document.querySelector("[data-numbers]");
  if (!numbers) return;
  const look = async () => {
    if (document.hidden) return;
    const answer = await fetch(numbers.dataset.numbers).catch(() => null);
    if (!answer?.ok) return;
    const now = await answer.json();
    for (const place of numbers.querySelectorAll("dd")) place.textContent = now[place.dataset.number];
  };
  look();
  setInterval(look, 1000);
  document.addEventListener("visibilitychange", look);
})();
