// The groups that there are, to choose from.
import { filled, number, words } from "./page.js";
import { json } from "./service.js";

// A choice is no longer than a page either.
const MOST = 200;

const option = (value) => {
  const element = document.createElement("option");
  element.value = value;
  element.textContent = value;
  return element;
};

/** Says how many groups are not in the choice. */
const rest = (count) => {
  const element = option("");
  element.disabled = true;
  element.textContent = filled(words.more_groups, { count: number(count) });
  return element;
};

/** Chooses a group, whether or not it is one that is known. */
export const chooseGroup = (select, group) => {
  if (![...select.options].some((it) => it.value === group)) select.append(option(group));
  select.value = group;
};

/** Fills the choice, whose first option means none, and a list of proposals where there is one. */
export const loadGroups = async (select, proposals) => {
  const { items } = await json("api/groups");
  const names = items.slice(0, MOST).map(({ group }) => group);
  if (select) {
    const chosen = select.value;
    select.replaceChildren(select.options[0], ...names.map(option));
    if (items.length > MOST) select.append(rest(items.length - MOST));
    chooseGroup(select, chosen);
  }
  proposals?.replaceChildren(...names.map(option));
};
