// The channels that are picked, and what is done with them together. They are either some, or all
// that match.
import { pageLink } from "./address.js";
import { identity, kind, scene } from "./channel.js";
import { runWithProgress } from "./bulk.js";
import { download } from "./download.js";
import { filterParameters, filterState } from "./filters.js";
import { canChange, change } from "./names.js";
import { at, filled, number, setText, words } from "./page.js";
import { keepForPrint } from "./print_list.js";
import { json, link } from "./service.js";
import { fail } from "./session.js";

// More would not fit into an address.
const MOST_PICKED = 100;
const PAGE = 500;

const picked = new Map();
let all = false;
let total = 0;
let changed = () => {};

export const isPicked = (item) => all || picked.has(identity(item));

const size = () => all ? total : picked.size;

/** Which of them are archived: "none", "some" or "all". */
const archivedOnes = () => {
  // Of all that match, the filter says it.
  if (all) return { "": "none", true: "all" }[filterState().archived] ?? "some";
  const items = [...picked.values()];
  if (items.every((item) => item.archived)) return "all";
  return items.some((item) => item.archived) ? "some" : "none";
};

/** The report of what was done stays after the selection is gone. */
const show = () => {
  const count = size();
  // A heading says something.
  at("selected").parentElement.hidden = count === 0;
  setText(at("pick_none"), count === 0 ? words.close : words.pick_none);
  at("selection").hidden = count === 0 && at("outcome").textContent === "";
  at("deeds").hidden = count === 0;
  at("deeds").dataset.archived = archivedOnes();
  setText(at("selected"), count === 0 ? "" : filled(words.selected, { count: number(count) }));
  at("pick_all").hidden = all || total <= picked.size;
  setText(at("pick_all"), filled(words.pick_all, { total: number(total) }));
};

export const showTotal = (count) => {
  total = count;
  show();
};

const drop = () => {
  all = false;
  picked.clear();
  show();
};

export const clearSelection = () => {
  setText(at("outcome"), "");
  drop();
};

/** Picks or drops channels; false if they are too many. `page` are those in sight. */
export const pick = (items, isOn, page) => {
  if (all) {
    // From all, one is dropped: those in sight stay.
    all = false;
    for (const item of page) picked.set(identity(item), item);
  }
  for (const item of items) {
    if (isOn) picked.set(identity(item), item);
    else picked.delete(identity(item));
  }
  const isTooMany = picked.size > MOST_PICKED;
  if (isTooMany) for (const item of items) picked.delete(identity(item));
  setText(at("outcome"), isTooMany ? filled(words.too_many, { most: number(MOST_PICKED) }) : "");
  show();
};

/** The picked ones, as the service's lists and files take them: a scene may have a code of each kind. */
const pickedParameters = () => {
  const items = [...picked.values()];
  const kinds = new Set(items.map(kind));
  const scenes = kinds.size === 1
    ? [["permanent", String(kinds.has("permanent"))], ...items.map((item) => ["scene", scene(item)])]
    : items.map((item) => ["scene", identity(item)]);
  return [["archived", "all"], ...scenes];
};

const parameters = () => all ? Object.entries(filterParameters()) : pickedParameters();

/** The picked ones, from the service if they are not known here. */
const pickedItems = async () => {
  if (!all) return [...picked.values()];
  const items = [];
  let cursor;
  do {
    const page = await json("api/codes", { ...filterParameters(), limit: PAGE, ...(cursor && { cursor }) });
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor);
  return items;
};

/** Rests the buttons while something is done. */
const busy = async (work) => {
  const controls = at("deeds").querySelectorAll("button, input");
  for (const control of controls) control.disabled = true;
  try {
    await work();
  } catch (trouble) {
    fail(trouble);
  }
  for (const control of controls) control.disabled = false;
};

/** Appends to the report what the key may not change. */
const sayLeftOut = (items) => {
  if (items.length === 0) return;
  const scope = items[0].permanent ? "permanent" : "mint";
  const text = filled(words.left_out, { count: number(items.length), scope });
  setText(at("outcome"), `${at("outcome").textContent}${text}`);
};

const changeAll = (changes) => busy(async () => {
  const items = await pickedItems();
  const { done, failed, left } = await runWithProgress(items.filter(canChange), (item) => change(item, changes));
  sayLeftOut(items.filter((item) => !canChange(item)));
  if (failed.length + left.length === 0) drop();
  if (done > 0) changed();
});

const print = () => busy(async () => {
  if (all) {
    location.href = pageLink(link("codes/print"), filterState());
  } else {
    keepForPrint([...picked.keys()]);
    location.href = pageLink(link("codes/print"), { picked: "1" });
  }
});

/** `reload` is called after a change. */
export const startSelection = (reload) => {
  changed = reload;
  at("pick_none").addEventListener("click", () => { clearSelection(); reload(); });
  at("pick_all").addEventListener("click", () => { all = true; show(); reload(); });
  at("regroup").addEventListener("submit", (event) => {
    event.preventDefault();
    changeAll({ group: at("new_group").value.trim() });
  });
  at("ungroup").addEventListener("click", () => changeAll({ group: "" }));
  at("archive").addEventListener("click", () => changeAll({ archived: true }));
  at("bring_back").addEventListener("click", () => changeAll({ archived: false }));
  at("print").addEventListener("click", print);
  for (const button of at("deeds").querySelectorAll("[data-file]")) {
    const { file, format } = button.dataset;
    const ofPictures = format ? [["format", format]] : [];
    button.addEventListener("click", () => busy(() =>
      download(`api/codes.${file}`, [...parameters(), ...ofPictures], `channels.${file}`)));
  }
};
