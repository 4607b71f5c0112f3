// Which channels are listed: the fields above the list, and what the address and the service have
// of them.
import { chooseGroup } from "./groups.js";
import { at } from "./page.js";

const FIELDS = ["q", "group", "permanent", "archived", "sort"];
const DEFAULT_SORT = "-created";
// Between the last letter typed and the search.
const PAUSE = 300;

const field = (name) => at("filters").elements[name];

export const readFilters = (state) => {
  for (const name of FIELDS) {
    const value = state.get(name) ?? "";
    if (name === "group") chooseGroup(field(name), value);
    else field(name).value = value;
    // What is no choice is the first one.
    if (field(name).value !== value) field(name).value = "";
  }
};

/** Wide screens have room for all choices; on a phone they are folded, unless one is made. */
export const unfoldChoices = () => {
  at("choices").open = matchMedia("(min-width: 60rem)").matches || FIELDS.some((name) => name !== "q" && field(name).value !== "");
};

/** What the address has of them. */
export const filterState = () => Object.fromEntries(FIELDS.map((name) => [name, field(name).value.trim()]));

/** What the service is asked for, as all its lists and files take it. */
export const filterParameters = () => {
  const { sort, ...filters } = Object.fromEntries(Object.entries(filterState()).filter(([, value]) => value));
  return { ...filters, sort: sort ?? DEFAULT_SORT };
};

export const isFiltered = () => FIELDS.some((name) => name !== "sort" && field(name).value.trim() !== "");

/** Calls back with whether the way back should lead to what was before. */
export const onFilters = (changed) => {
  let timer;
  const change = (isStep) => {
    clearTimeout(timer);
    changed(isStep);
  };
  at("filters").addEventListener("submit", (event) => {
    event.preventDefault();
    change(true);
  });
  for (const name of FIELDS) if (name !== "q") field(name).addEventListener("change", () => change(true));
  field("q").addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => change(false), PAUSE);
  });
};
