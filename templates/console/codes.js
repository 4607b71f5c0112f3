// The list of channels: found, opened, picked.
import { readAddress, writeAddress } from "./address.js";
import { identity, parsed } from "./channel.js";
import { stopAll } from "./bulk.js";
import { filterParameters, filterState, isFiltered, onFilters, readFilters, unfoldChoices } from "./filters.js";
import { loadGroups } from "./groups.js";
import { createLine, showLine } from "./line.js";
import { readNumbers, showNumbers } from "./numbers.js";
import { at, filled, number, setText, within, words } from "./page.js";
import { createPanel } from "./panel.js";
import { onRange, range, rangeState, readRange, showDates } from "./range.js";
import { clearSelection, isPicked, pick, showTotal, startSelection } from "./selection.js";
import { json } from "./service.js";
import { fail, reveal, start } from "./session.js";
import { say } from "./trouble.js";

const LINES = 25;

let cursor = null;
let opened = null;
// What is on the page, by identity, in the order of the list.
let items = new Map();
let lines = new Map();
let next = null;
// Counts what the reader asked for, so that a late answer to something else is left alone.
let wanted = 0;

const address = () => ({ ...filterState(), ...rangeState(), cursor, channel: opened?.identity });

const showPicks = () => {
  for (const [name, line] of lines) within(line)("pick").checked = isPicked(items.get(name));
  const isAll = items.size > 0 && [...items.values()].every(isPicked);
  at("pick_page").checked = isAll;
};

const offerGroups = () => loadGroups(at("group"), at("groups")).catch(fail);

/** Closes the channel that is open, and opens that one. */
const open = (name) => {
  document.querySelector("#list .panel")?.remove();
  for (const [other, line] of lines) within(line)("name").setAttribute("aria-expanded", String(other === name));
  const item = items.get(name);
  if (!item) return;
  const panel = createPanel(item, rangeState(), () => {
    showLine(lines.get(name), item);
    offerGroups();
  });
  lines.get(name).after(panel);
};

const toggle = (name) => {
  opened = opened?.identity === name ? null : parsed(name);
  writeAddress(address(), true);
  open(opened?.identity);
};

const lineOf = (item) => {
  const line = createLine(item);
  const part = within(line);
  part("name").addEventListener("click", () => toggle(identity(item)));
  part("pick").addEventListener("change", ({ target }) => {
    pick([item], target.checked, [...items.values()]);
    showPicks();
  });
  return line;
};

const show = (found, total) => {
  items = new Map(found.map((item) => [identity(item), item]));
  lines = new Map(found.map((item) => [identity(item), lineOf(item)]));
  at("list").tBodies[0].replaceChildren(...lines.values());
  at("list").hidden = found.length === 0;
  at("empty").hidden = found.length > 0;
  setText(at("empty"), isFiltered() ? words.none : words.empty);
  setText(at("count"), filled(words.total, { total: number(total) }));
  at("first").hidden = !cursor;
  at("next").hidden = !next;
  open(opened?.identity);
  showPicks();
};

const loadNumbers = (version) => {
  const days = range();
  showDates(days);
  return readNumbers([...items.values()], days, (item, row) => {
    if (version === wanted) showNumbers(lines.get(identity(item)), row);
  });
};

/** The chosen channel, where the page has it not: a link leads to it whatever the list shows. */
const findOpened = async (found) => {
  if (!opened || found.some((item) => identity(item) === opened.identity)) return [];
  const { items } = await json("api/codes", { scene: opened.identity, archived: "all" });
  return items;
};

const load = async () => {
  const version = ++wanted;
  setText(at("count"), words.loading);
  try {
    const page = await json("api/codes", { ...filterParameters(), limit: LINES, ...(cursor && { cursor }) });
    const more = await findOpened(page.items);
    if (version !== wanted) return;
    next = page.next_cursor ?? null;
    showTotal(page.total);
    show([...more, ...page.items], page.total);
    reveal("list_title");
    say(null);
    await loadNumbers(version);
  } catch (trouble) {
    if (version !== wanted) return;
    setText(at("count"), "");
    // The place is that of another list.
    if (trouble.code === "invalid_parameter" && cursor) return turnTo(null);
    fail(trouble);
  }
};

const turnTo = (place) => {
  [cursor, opened] = [place, null];
  writeAddress(address(), true);
  at("list_title").focus();
  return load();
};

const readState = () => {
  const state = readAddress();
  readFilters(state);
  readRange(state);
  cursor = state.get("cursor");
  opened = parsed(state.get("channel"));
};

readState();
unfoldChoices();
onFilters((isStep) => {
  [cursor, opened] = [null, null];
  clearSelection();
  writeAddress(address(), isStep);
  load();
});
onRange((isGood) => {
  setText(at("range_trouble"), isGood ? "" : words.range);
  if (!isGood) return;
  writeAddress(address(), true);
  open(opened?.identity);
  wanted += 1;
  loadNumbers(wanted).catch(fail);
});
at("pick_page").addEventListener("change", ({ target }) => {
  pick([...items.values()], target.checked, [...items.values()]);
  showPicks();
});
at("next").addEventListener("click", () => turnTo(next));
at("first").addEventListener("click", () => turnTo(null));
addEventListener("popstate", () => {
  readState();
  load();
});
startSelection(() => load());
start({
  needs: ["stats"],
  entered: () => {
    offerGroups();
    load();
  },
  left: () => {
    wanted += 1;
    stopAll();
    clearSelection();
    show([], 0);
  },
});
