// Shows the numbers, and shows them again when something new was stored.
import { pageLink, readAddress, writeAddress } from "./address.js";
import { identity, parsed, title } from "./channel.js";
import { showChart } from "./chart.js";
import { download } from "./download.js";
import { chooseGroup, loadGroups } from "./groups.js";
import { NUMBERS } from "./numbers.js";
import { at, filled, setText, words } from "./page.js";
import { localTime, onRange, range, rangeBefore, rangeState, readRange, resetRange, showDates, today } from "./range.js";
import { keepUpToDate } from "./refresh.js";
import { json, link } from "./service.js";
import { fail, reveal, start } from "./session.js";
import { showDays } from "./stats_days.js";
import { forgetLines, readTable, showChannels, startTable, tableState } from "./stats_table.js";
import { showTiles } from "./stats_tiles.js";
import { say, textOf } from "./trouble.js";

const FIRST_DAY = "1970-01-01";
const KINDS_WITH_CODES = /^(permanent|temporary):/;

let chosen = null;
// What is on the page.
let rows = [];
let chart = [];
let before = null;
let period = "";

const group = () => at("group").value;

/** What the service is asked for: the rows of a group, if one is chosen. */
const filter = () => group() ? { group: group() } : {};

/** The same for the numbers above: those of the channel, or of all rows together. */
const subject = () => chosen ? { scene: chosen.identity } : { sum: true, ...filter() };

/** What a file holds: the chosen channel, or those that the table shows. */
const fileFilter = () => {
  if (chosen) return { scene: chosen.identity };
  const { q } = tableState();
  return { ...filter(), ...(q && { q }) };
};

const sumOf = (rows) => Object.fromEntries(NUMBERS.map((name) => {
  const sum = rows.reduce((sum, row) => sum + (row[name] ?? 0), 0);
  return [name, name === "people" && !chosen ? null : sum];
}));

const showSubject = () => {
  const one = chosen && rows.find((row) => identity(row) === chosen.identity);
  if (one) chosen.title = title(one);
  setText(at("subject"), chosen ? chosen.title : group() || words.all);
  at("all").hidden = !chosen;
  at("of_one").hidden = Boolean(chosen);
  at("code").hidden = !chosen || !KINDS_WITH_CODES.test(chosen.identity);
  at("code").href = pageLink(link("codes"), { ...rangeState(), channel: chosen?.identity });
};

/** For paper, where no field says it: the days of all numbers, and the search beside the channels, which alone follow it. */
const showPeriod = () => {
  const { q } = tableState();
  setText(at("period"), period);
  setText(at("searched"), q ? filled(words.searched, { q }) : "");
};

const show = () => {
  showSubject();
  showPeriod();
  showTiles(sumOf(chosen ? rows.filter((row) => identity(row) === chosen.identity) : rows), before);
  showChannels(rows, chosen?.identity);
  showDays(chart, !chosen);
  showChart(chart);
};

/** The numbers of as many days before; none where the calendar of the service does not go. */
const readBefore = async (days, asked) => {
  const earlier = rangeBefore(days);
  if (earlier.from < FIRST_DAY) return null;
  return (await json("api/stats", { ...earlier, ...asked })).rows;
};

const refresh = async (isWanted, hasEvents) => {
  const days = range();
  const asked = subject();
  const [total, daily, earlier] = await Promise.all([
    json("api/stats", { ...days, ...filter() }),
    json("api/stats", { ...days, by: "day", ...asked }),
    readBefore(days, asked),
  ]);
  if (!isWanted()) return;
  rows = total.rows;
  chart = daily.rows;
  before = earlier && sumOf(earlier);
  if (at("silence")) at("silence").hidden = hasEvents;
  showDates(total);
  period = filled(words.period, total);
  show();
  setText(at("live"), filled(words.live, { time: localTime().slice(11, 19), zone: words.zone }));
};

const refreshed = () => {
  say(null);
  // What is hidden has no width that a chart could have.
  if (reveal("subject")) show();
};

const upToDate = keepUpToDate({ refresh, refreshed, failed: fail, today });

const readState = () => {
  const state = readAddress();
  readRange(state);
  readTable(state);
  chooseGroup(at("group"), state.get("group") ?? "");
  chosen = parsed(state.get("channel"));
};

const keepState = (isStep) =>
  writeAddress({ ...rangeState(), ...tableState(), group: group(), channel: chosen?.identity }, isStep);

const choose = (row) => {
  chosen = row && { ...parsed(identity(row)), title: title(row) };
  keepState(true);
  upToDate.change();
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  at("subject").scrollIntoView({ block: "nearest", behavior: calm ? "instant" : "smooth" });
};

const save = async (format, by) => {
  setText(at("file_trouble"), "");
  try {
    await download(`api/stats.${format}`, { ...range(), by, ...fileFilter(), lang: words.lang }, `wxqr-stats.${format}`);
  } catch (trouble) {
    setText(at("file_trouble"), textOf(trouble));
  }
};

readState();
startTable({
  chose: choose,
  changed: () => {
    keepState(false);
    showPeriod();
  },
});
onRange((isGood) => {
  setText(at("file_trouble"), isGood ? "" : words.range);
  if (!isGood) return;
  keepState(true);
  upToDate.change();
});
at("group").addEventListener("change", () => choose(null));
at("all").addEventListener("click", () => choose(null));
for (const button of document.querySelectorAll("[data-file]")) {
  button.addEventListener("click", () => save(button.dataset.file, button.dataset.span));
}
addEventListener("popstate", () => {
  readState();
  show();
  upToDate.change();
});
start({
  needs: ["stats"],
  entered: () => {
    loadGroups(at("group")).catch(fail);
    upToDate.start();
  },
  left: (code) => {
    upToDate.stop();
    [rows, chart, before] = [[], [], null];
    forgetLines();
    if (!code) {
      // Signing out resets the choices; an invalid key does not.
      chosen = null;
      resetRange();
      readTable(new URLSearchParams());
      chooseGroup(at("group"), "");
      keepState(false);
    }
    for (const id of ["readout", "live", "file_trouble"]) setText(at(id), "");
    show();
  },
});
