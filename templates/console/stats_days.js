// The table of days, the newest first.
import { NUMBERS } from "./numbers.js";
import { at, number } from "./page.js";

const lineOf = (row) => {
  const line = document.createElement("tr");
  const day = document.createElement("th");
  day.scope = "row";
  day.textContent = row.day;
  line.append(day);
  for (const name of NUMBERS) {
    const cell = line.insertCell();
    cell.className = name;
    cell.textContent = name in row ? number(row[name]) : "";
  }
  return line;
};

/** People of several channels do not add up, and have no column then. */
export const showDays = (rows, isOfAll) => {
  const table = at("days");
  table.classList.toggle("of_all", isOfAll);
  table.tBodies[0].replaceChildren(...[...rows].reverse().map(lineOf));
};
