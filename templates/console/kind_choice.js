// Permanent or temporary, and how long a temporary code lives.
import { at } from "./page.js";
import { can } from "./session.js";

const choices = () => [...document.querySelectorAll("[name=permanent]")];

const show = () => { at("life").hidden = at("amount").disabled = isPermanent(); };

export const isPermanent = () => choices().find((it) => it.checked)?.value === "true";

/** Seconds, for a temporary code. */
export const lifetime = () => Math.round(Number(at("amount").value) * Number(at("unit").value));

/** Permanent if the key may; a choice that the key has not is not offered. */
export const offerKinds = () => {
  const allowed = choices().filter((it) => can(it.value === "true" ? "permanent" : "mint"));
  if (!allowed.some((it) => it.checked)) allowed[0].checked = true;
  show();
};

export const onKind = (changed) => {
  for (const choice of choices()) {
    choice.addEventListener("change", () => {
      show();
      changed();
    });
  }
  for (const id of ["amount", "unit"]) at(id).addEventListener("change", changed);
  at("unit").addEventListener("change", () => { at("amount").max = at("unit").value === "3600" ? 720 : 30; });
};
