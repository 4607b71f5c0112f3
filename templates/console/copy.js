// Copies a text, and says so on the button that was pressed.
import { words } from "./page.js";

const SHOWN_FOR = 3000;

/** Browsers have the clipboard on https only; the old command works elsewhere. */
const copyText = async (text) => {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    const isCopied = document.execCommand("copy");
    field.remove();
    return isCopied;
  }
};

export const copyOnClick = (button, text) => {
  const label = button.textContent;
  button.addEventListener("click", async () => {
    if (!await copyText(text())) return;
    button.textContent = words.copied;
    button.focus();
    setTimeout(() => { button.textContent = label; }, SHOWN_FOR);
  });
};
