// Makes the snippets complete and lets them be copied, and keeps the form to what was meant. Without it the snippets can be
// selected by hand, and the service says what is wrong with the form.
(() => {
  // Browsers have the clipboard on https only; the old command works elsewhere, and leaves the text selected.
  const copy = async (element) => {
    try {
      await navigator.clipboard.writeText(element.textContent);
      return true;
    } catch {
      getSelection().selectAllChildren(element);
      return document.execCommand("copy");
    }
  };
  for (const box of document.querySelectorAll(".snippet")) {
    const text = box.querySelector("pre");
    text.textContent = text.textContent.replaceAll("{origin}", location.origin);
    const button = box.querySelector("button");
    const label = button.textContent;
    button.hidden = false;
    button.addEventListener("click", async () => {
      if (!await copy(text)) return;
      button.textContent = button.dataset.done;
      setTimeout(() => { button.textContent = label; }, 3000);
    });
  }

  const form = document.querySelector("form");
  const { scene_id, scene_str } = form.elements;
  for (const [one, other] of [[scene_id, scene_str], [scene_str, scene_id]]) {
    one.addEventListener("input", () => {
      one.removeAttribute("aria-invalid");
      if (one.value) other.value = "";
    });
  }
  form.addEventListener("formdata", ({ formData }) => {
    for (const [name, value] of [...formData]) {
      if (!value) formData.delete(name);
    }
  });
})();
