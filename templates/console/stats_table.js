// The table of channels with their numbers: searched, sorted, chosen. Its lines are reused, so that
// the focus stays when numbers change.
import { canBeAsked, identity, kind, sceneText, title } from "./channel.js";
import { NUMBERS } from "./numbers.js";
import { at, copyOf, filled, lang, number, setText, words } from "./page.js";

// Rows that are drawn at once.
const MAX_LINES = 200;
const COLUMNS = ["name", "scene", "group", ...NUMBERS];
const DEFAULT_SORTING = { by: "scans", down: true };

const order = new Intl.Collator(lang, { numeric: true });
const lines = new Map();
let sorting = { ...DEFAULT_SORTING };
let maxLines = MAX_LINES;
let rows = [];
let chosen = null;
let choose = () => {};

const lineOf = (row) => {
  const name = identity(row);
  if (!lines.has(name)) {
    const line = copyOf("line");
    line.querySelector("button").addEventListener("click", () => choose(line.row));
    lines.set(name, line);
  }
  const line = lines.get(name);
  line.row = row;
  const button = line.querySelector("button");
  setText(button, title(row));
  button.setAttribute("aria-pressed", String(chosen === name));
  button.disabled = !canBeAsked(row);
  setText(line.querySelector("code"), sceneText(row));
  setText(line.querySelector(".kind"), words[kind(row)]);
  line.querySelector(".badge").hidden = !row.archived;
  setText(line.querySelector(".badge"), row.archived ? words.archived : "");
  setText(line.cells[2], row.group ?? "");
  for (const name of NUMBERS) setText(line.querySelector(`[data-cell=${name}]`), number(row[name]));
  return line;
};

const sorted = (list) => {
  const texts = { name: title, scene: sceneText, group: (row) => row.group ?? "" };
  const text = texts[sorting.by];
  const compare = text
    ? (a, b) => order.compare(text(a), text(b))
    : (a, b) => a[sorting.by] - b[sorting.by];
  const sign = sorting.down ? -1 : 1;
  return list.sort((a, b) => sign * compare(a, b) || order.compare(title(a), title(b)));
};

const matching = () => {
  const query = at("search").value.trim().toLocaleLowerCase();
  return rows.filter((row) => [title(row), sceneText(row), row.group ?? ""]
    .some((text) => text.toLocaleLowerCase().includes(query)));
};

const replaceLines = (drawn) => {
  const body = at("channels").tBodies[0];
  if (drawn.length === body.rows.length && drawn.every((line, n) => line === body.rows[n])) return;
  const focused = document.activeElement;
  body.replaceChildren(...drawn);
  if (body.contains(focused)) focused.focus({ preventScroll: true });
};

const showSorting = () => {
  for (const button of document.querySelectorAll("#channels [data-by]")) {
    const header = button.parentElement;
    if (button.dataset.by === sorting.by) header.setAttribute("aria-sort", sorting.down ? "descending" : "ascending");
    else header.removeAttribute("aria-sort");
  }
};

const showCount = (found, drawn) => {
  const says = rows.length === 0 ? words.empty
    : found === 0 ? words.none
    : drawn === rows.length ? words.count : words.some;
  setText(at("count"), filled(says, { all: number(rows.length), some: number(drawn) }));
};

const show = () => {
  const found = sorted(matching());
  const drawn = found.slice(0, maxLines).map(lineOf);
  replaceLines(drawn);
  showSorting();
  showCount(found.length, drawn.length);
  at("channels").hidden = drawn.length === 0;
  at("more").hidden = drawn.length === found.length;
  at("about_unattributed").hidden = rows.every((row) => row.attributed);
};

/** Shows these rows, with the chosen one marked. */
export const showChannels = (found, chosenIdentity) => {
  [rows, chosen] = [found, chosenIdentity];
  show();
};

export const readTable = (state) => {
  at("search").value = state.get("q") ?? "";
  const sort = state.get("sort") ?? "";
  const by = sort.replace(/^-/, "");
  sorting = COLUMNS.includes(by) ? { by, down: sort.startsWith("-") } : { ...DEFAULT_SORTING };
  maxLines = MAX_LINES;
};

/** What the address has of it. */
export const tableState = () => {
  const { by, down } = sorting;
  const isDefault = by === DEFAULT_SORTING.by && down === DEFAULT_SORTING.down;
  return { q: at("search").value.trim(), sort: isDefault ? "" : `${down ? "-" : ""}${by}` };
};

export const forgetLines = () => lines.clear();

/** Calls back when a channel is chosen, and when the address has to change. */
export const startTable = ({ chose, changed }) => {
  choose = chose;
  const change = () => {
    changed();
    show();
  };
  for (const button of document.querySelectorAll("#channels [data-by]")) {
    const { by } = button.dataset;
    button.addEventListener("click", () => {
      sorting = { by, down: sorting.by === by ? !sorting.down : NUMBERS.includes(by) };
      change();
    });
  }
  at("search").addEventListener("input", () => {
    maxLines = MAX_LINES;
    change();
  });
  at("more").addEventListener("click", () => {
    maxLines += MAX_LINES;
    show();
  });
};
