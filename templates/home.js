// Makes the snippets complete and lets them be copied. Without it they can be selected by hand.
(() => {
  for (const box of document.querySelectorAll(".snippet")) {
    const text = box.querySelector("pre");
    text.textContent = text.textContent.replaceAll("{origin}", location.origin);
    const button = box.querySelector("button");
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = button.dataset.done;
    });
  }
})();
