// The days whose numbers are shown: the last few, or from one day to another.
import { at, mark, words } from "./page.js";
import { serviceNow } from "./service.js";

const DAY = 86_400_000;
const MOST_DAYS = 3660;
const DEFAULT_DAYS = 30;
const OFFSET = Number(words.offset) * 60_000;

let days = DEFAULT_DAYS;
let dates = null;

const choices = () => [...document.querySelectorAll("[name=days]")];

export const localTime = () => new Date(serviceNow() + OFFSET).toISOString();
export const today = () => localTime().slice(0, 10);
const daysBefore = (day, count) => new Date(Date.parse(day) - count * DAY).toISOString().slice(0, 10);

export const range = () => dates ?? { from: daysBefore(today(), days - 1), to: today() };

/** As many days, just before. */
export const rangeBefore = ({ from, to }) => {
  const count = (Date.parse(to) - Date.parse(from)) / DAY + 1;
  return { from: daysBefore(from, count), to: daysBefore(from, 1) };
};

const isRange = (from, to) => {
  // A day that is not in the calendar would be read as one of the next month.
  const isDay = (day) => day >= "1970-01-01" && !Number.isNaN(Date.parse(day)) && daysBefore(day, 0) === day;
  return isDay(from) && isDay(to) && from <= to && (Date.parse(to) - Date.parse(from)) / DAY < MOST_DAYS;
};

const check = () => {
  for (const choice of choices()) choice.checked = !dates && Number(choice.value) === days;
};

export const readRange = (state) => {
  const [from, to] = [state.get("from") ?? "", state.get("to") ?? ""];
  dates = isRange(from, to) ? { from, to } : null;
  const given = choices().find((choice) => choice.value === state.get("days"));
  days = given ? Number(given.value) : DEFAULT_DAYS;
  check();
};

/** What the address has of it: nothing where it is as ever. */
export const rangeState = () => dates ?? (days === DEFAULT_DAYS ? {} : { days: String(days) });

export const resetRange = () => {
  [days, dates] = [DEFAULT_DAYS, null];
  check();
};

/** Fills in the dates, but for the one that is being typed. */
export const showDates = ({ from, to }) => {
  for (const [id, day] of [["from", from], ["to", to]]) {
    const input = at(id);
    if (document.activeElement !== input) input.value = day;
    mark(input, false);
  }
};

/** Calls back with whether what was chosen is a range. */
export const onRange = (changed) => {
  at("range").addEventListener("submit", (event) => event.preventDefault());
  for (const choice of choices()) {
    choice.addEventListener("change", () => {
      [days, dates] = [Number(choice.value), null];
      changed(true);
    });
  }
  for (const id of ["from", "to"]) {
    at(id).addEventListener("change", () => {
      const [from, to] = [at("from").value, at("to").value];
      const isGood = isRange(from, to);
      for (const field of [at("from"), at("to")]) mark(field, !isGood);
      if (isGood) {
        dates = { from, to };
        check();
      }
      changed(isGood);
    });
  }
};
