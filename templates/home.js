// Makes the snippets complete and lets them be copied, and keeps the form to what was meant.
// Without it the snippets can be selected by hand, and the service says what is wrong with the
// form.
(() => {
  // Browsers have the clipboard on https only; the old command works elsewhere, and leaves the text
  // selected.
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
  // A lifetime is shown in the largest unit that it is a whole number of, and sent in seconds.
  const { expire_seconds, unit } = form.elements;
  unit.disabled = false;
  const seconds = Number(expire_seconds.value || expire_seconds.placeholder);
  const whole = [...unit.options].filter(({ value }) => seconds % value === 0);
  unit.value = seconds > 0 ? whole.at(-1).value : "1";
  if (expire_seconds.value) expire_seconds.value = seconds / unit.value || expire_seconds.value;
  expire_seconds.placeholder = Number(expire_seconds.placeholder) / unit.value;
  form.addEventListener("formdata", ({ formData }) => {
    const amount = formData.get("expire_seconds");
    if (/^\d+$/.test(amount)) formData.set("expire_seconds", amount * unit.value);
  });
  form.addEventListener("formdata", ({ formData }) => {
    for (const [name, value] of [...formData]) {
      if (!value) formData.delete(name);
    }
  });
})();
