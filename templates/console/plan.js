// Asks the service what a list of channels would make. It makes nothing.
import { isPermanent, lifetime } from "./kind_choice.js";
import { words } from "./page.js";
import { send } from "./service.js";

const TYPES = {
  csv: "text/csv",
  tsv: "text/csv",
  txt: "text/plain",
  xlsx: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
};

/** Group and kind are those of rows that name none. */
const ask = (file, type, group) => {
  const query = new URLSearchParams({ lang: words.lang, permanent: String(isPermanent()) });
  if (group) query.set("group", group);
  if (!isPermanent() && lifetime() > 0) query.set("expire_seconds", lifetime());
  return send(`api/codes/plan?${query}`, file, type);
};

const cell = (text) => `"${text.replaceAll('"', '""')}"`;

const tableOf = (...row) => [["label", "scene_str", "scene_id"], row]
  .map((cells) => cells.map(cell).join(","))
  .join("\n");

/** What one name would make, with a scene that is a text, a number, or neither: a row of a plan, and what is left. */
export const planOne = async (name, group, text, digits) => {
  const plan = await ask(tableOf(name, text, digits), TYPES.csv, group);
  return { ...plan, row: plan.rows[0] };
};

/** Lines of names, or a table: the service tells which, and numbers the lines. */
export const planOfText = (text, group) => ask(text, TYPES.txt, group);

export const planOfFile = (file, group) => {
  const type = TYPES[file.name.split(".").pop().toLowerCase()] ?? TYPES.csv;
  return ask(file, type, group);
};
