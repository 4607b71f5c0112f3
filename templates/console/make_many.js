// Makes many channels: what was pasted or dropped is checked, shown, and made after a yes. Each is made by itself and may be sent
// again, so stopping half-way loses nothing.
import { pageLink } from "./address.js";
import { runWithProgress, stopAll } from "./bulk.js";
import { title } from "./channel.js";
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
let made = [];
let again = [];

const ofStatus = (rows, status) => rows.filter((row) => row.status === status);

const costOf = ({ new_permanent, permanent_left }) => {
  const counts = { count: number(new_permanent), left: number(permanent_left) };
  if (new_permanent > permanent_left) return filled(words.cost_too_many, counts);
  return new_permanent > 0 ? filled(words.cost_many, counts) : "";
};

const confirmation = (count, changed) => {
  const counts = { count: number(count), changed: number(changed) };
  if (count + changed === 0) return words.nothing;
  if (changed === 0) return filled(words.confirm, counts);
  return filled(count === 0 ? words.confirm_changed : words.confirm_both, counts);
};

const showPlan = (plan) => {
  const [news, changed] = [ofStatus(plan.rows, "new"), ofStatus(plan.rows, "changed")];
  made = [];
  again = [...news, ...changed];
  const unknown = plan.unknown_columns ?? [];
  at("unknown").hidden = unknown.length === 0;
  setText(at("unknown"), filled(words.unknown_columns, { columns: unknown.join(words.lang === "zh" ? "、" : ", ") }));
  showRows(plan.rows);
  setText(at("cost"), costOf(plan));
  setText(at("confirm"), confirmation(news.length, changed.length));
  at("confirm").disabled = again.length === 0 || plan.new_permanent > plan.permanent_left;
  at("confirm").hidden = at("back").hidden = false;
  at("failures").hidden = at("finished").hidden = true;
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
    showPlan(await (file ? planOfFile(file) : planOfText(text, at("group").value.trim())));
  } catch (trouble) {
    fail(trouble);
  }
  at("check").disabled = false;
};

const failureText = ({ item, trouble }) =>
  filled(words.failure, { line: number(item.line), name: title(item.request), reason: textOf(trouble) });

const showFailures = ({ failed, left }) => {
  at("failures").hidden = failed.length + left.length === 0;
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
  at("confirm").hidden = at("back").hidden = at("failures").hidden = true;
  const result = await runWithProgress(again, ({ request }) => send("api/codes", request), ({ result }) => {
    if (result) made.push(result);
  });
  again = [...result.failed, ...result.left].map(({ item }) => item);
  showFailures(result);
  setText(at("cost"), "");
  at("finished").hidden = again.length > 0;
  at("to_list").hidden = at("to_print").hidden = !can("stats");
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
  at("defaults").hidden = Boolean(file);
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
at("to_print").addEventListener("click", () => keepForPrint(made));
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
