// Makes many channels: what was pasted or dropped is checked, shown, and made after a yes. Each is
// made by itself and may be sent again, so stopping half-way loses nothing.
import { pageLink } from "./address.js";
import { runWithProgress, stopAll } from "./bulk.js";
import { identity, title } from "./channel.js";
import { save } from "./download.js";
import { loadGroups } from "./groups.js";
import { offerKinds, onKind } from "./kind_choice.js";
import { at, filled, number, setText, words } from "./page.js";
import { planOfFile, planOfText } from "./plan.js";
import { showRows } from "./plan_table.js";
import { keepForPrint } from "./print_list.js";
import { link, send } from "./service.js";
import { can, fail, reveal, start } from "./session.js";
import { say, textOf } from "./trouble.js";

// Failures that are listed by name.
const MOST_LISTED = 20;

let file = null;
let rows = [];
let again = [];
let isMaking = false;

const ofStatus = (rows, status) => rows.filter((row) => row.status === status);

const costOf = ({ new_permanent, permanent_left }, changed) => {
  const counts = { count: number(new_permanent), left: number(permanent_left) };
  if (new_permanent > permanent_left) return filled(words.cost_too_many, counts);
  const ofNew = new_permanent > 0 ? filled(words.cost_many, counts) : "";
  const ofChanged = changed > 0 ? filled(words.cost_changed, { changed: number(changed) }) : "";
  return [ofNew, ofChanged].filter(Boolean).join(words.between_sentences);
};

const confirmation = (count, changed) => {
  const counts = { count: number(count), changed: number(changed) };
  if (count + changed === 0) return words.nothing;
  if (changed === 0) return filled(words.confirm, counts);
  return filled(count === 0 ? words.confirm_changed : words.confirm_both, counts);
};

/** The codes of the plan that there are, in the order of its rows. */
const existing = () => rows.filter((row) => row.status !== "invalid" && !again.includes(row));

/** Where to go on, once nothing is left to do. */
const showEnd = () => {
  at("finished").hidden = again.length > 0 || existing().length === 0;
  at("to_list").hidden = at("to_print").hidden = !can("stats");
};

const showPlan = (plan) => {
  ({ rows } = plan);
  const [news, changed] = [ofStatus(rows, "new"), ofStatus(rows, "changed")];
  again = rows.filter((row) => row.status === "new" || row.status === "changed");
  const unknown = plan.unknown_columns ?? [];
  at("unknown").hidden = unknown.length === 0;
  setText(at("unknown"), filled(words.unknown_columns, { columns: unknown.join(words.lang === "zh" ? "、" : ", ") }));
  showRows(rows);
  at("planned").hidden = false;
  setText(at("plan_title"), words.plan_title);
  setText(at("cost"), costOf(plan, changed.length));
  setText(at("confirm"), confirmation(news.length, changed.length));
  at("confirm").disabled = again.length === 0 || plan.new_permanent > plan.permanent_left;
  at("confirm").hidden = at("back").hidden = false;
  at("failures").hidden = true;
  showEnd();
  setText(at("outcome"), "");
  at("source").hidden = true;
  at("plan").hidden = false;
  at("plan_title").focus();
};

const check = async () => {
  say(null);
  const text = at("lines").value;
  if (!file && !text.trim()) return setText(at("trouble"), words.empty);
  at("check").disabled = true;
  try {
    setText(at("plan_source"), file?.name ?? "");
    const group = at("group").value.trim();
    showPlan(await (file ? planOfFile(file, group) : planOfText(text, group)));
  } catch (trouble) {
    fail(trouble);
  }
  at("check").disabled = false;
};

const failureText = ({ item, trouble }) =>
  filled(words.failure, { line: number(item.line), name: title(item.request), reason: textOf(trouble) });

const showFailures = ({ failed, left }) => {
  at("failures").hidden = failed.length + left.length === 0;
  setText(at("failures_title"), failed.length > 0 ? words.failed_title : words.left_title);
  const texts = failed.slice(0, MOST_LISTED).map(failureText);
  if (failed.length > MOST_LISTED) texts.push(filled(words.more_failures, { count: number(failed.length - MOST_LISTED) }));
  at("failed_list").replaceChildren(...texts.map((text) => {
    const line = document.createElement("li");
    line.textContent = text;
    return line;
  }));
  const count = number(failed.length + left.length);
  setText(at("again"), filled(failed.length > 0 ? words.again : words.resume, { count }));
};

const make = async () => {
  if (isMaking) return;
  isMaking = true;
  for (const id of ["confirm", "back", "failures", "planned"]) at(id).hidden = true;
  setText(at("plan_title"), words.making);
  setText(at("cost"), "");
  at("plan_title").focus();
  const result = await runWithProgress(again, ({ request }) => send("api/codes", request));
  const remaining = new Set([...result.failed, ...result.left].map(({ item }) => item));
  again = again.filter((row) => remaining.has(row));
  setText(at("plan_title"), again.length > 0 ? words.unfinished : words.finished);
  showFailures(result);
  showEnd();
  isMaking = false;
};

/** Back to the text, as it was. */
const goBack = () => {
  at("plan").hidden = true;
  at("source").hidden = false;
  at("lines").focus();
};

const chooseFile = (chosen) => {
  file = chosen ?? null;
  at("lines").disabled = Boolean(file);
};

at("source").addEventListener("submit", (event) => {
  event.preventDefault();
  check();
});
at("file").addEventListener("change", () => chooseFile(at("file").files[0]));
at("source").addEventListener("dragover", (event) => event.preventDefault());
at("source").addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files.length === 0) return;
  at("file").files = event.dataTransfer.files;
  chooseFile(at("file").files[0]);
});
at("sample").addEventListener("click", () => {
  // Excel reads UTF-8 only with the mark.
  save(new Blob(["\ufeff", words.sample.replaceAll("\n", "\r\n")], { type: "text/csv" }), words.sample_name);
});
at("confirm").addEventListener("click", make);
at("again").addEventListener("click", make);
at("back").addEventListener("click", goBack);
at("to_print").addEventListener("click", () => keepForPrint(existing().map(({ request }) => identity(request))));
at("more").addEventListener("click", () => {
  at("lines").value = at("file").value = "";
  chooseFile(null);
  goBack();
});
onKind(() => {});
at("to_print").href = pageLink(link("codes/print"), { picked: "1" });
start({
  needs: ["mint", "permanent"],
  entered: () => {
    offerKinds();
    reveal("lines");
    if (can("stats")) loadGroups(null, at("groups")).catch(fail);
  },
  left: stopAll,
});
