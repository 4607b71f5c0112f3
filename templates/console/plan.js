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

/** The kind is that of rows that name none. */
const ask = (file, type) => {
  const query = new URLSearchParams({ lang: words.lang, permanent: String(isPermanent()) });
  return send(`api/codes/plan?${query}`, file, type);
};

const cell = (text) => `"${text.replaceAll('"', '""')}"`;

/** Whether a pasted text is a table: cells copied from a sheet have tabs, and a table names its columns. */
const isTable = (text) => {
  const [first] = text.split(/\r?\n/, 1);
  return first.includes("\t") || /[,;]/.test(first) && /(^|[,;])\s*"?(名称|label)"?\s*([,;]|$)/i.test(first);
};

/** A table of names that share group and kind; a scene is for one alone. */
const tableOf = (names, { group, scene }) => {
  const heading = ["label", "group", "permanent", "expire_seconds", "scene_str"];
  const life = isPermanent() ? "" : String(lifetime());
  const rows = names.map((name) => [name, group, String(isPermanent()), life, scene]);
  return [heading, ...rows].map((row) => row.map((text) => cell(text ?? "")).join(",")).join("\n");
};

/** What one name would make: a row of a plan, and what is left. */
export const planOne = async (name, group, scene) => {
  const plan = await ask(tableOf([name], { group, scene }), TYPES.csv);
  return { ...plan, row: plan.rows[0] };
};

const planOfNames = async (text, group) => {
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  const named = lines.map((name, n) => ({ name, line: n + 1 })).filter(({ name }) => name);
  const plan = await ask(tableOf(named.map(({ name }) => name), { group }), TYPES.csv);
  // The lines of the text instead of those of the table that was made of it: a heading is before them.
  for (const row of plan.rows) row.line = named[row.line - 2]?.line ?? row.line;
  return plan;
};

export const planOfText = (text, group) =>
  isTable(text) ? ask(text, TYPES.csv) : planOfNames(text, group);

export const planOfFile = (file) => {
  const type = TYPES[file.name.split(".").pop().toLowerCase()] ?? TYPES.csv;
  return ask(file, type);
};
