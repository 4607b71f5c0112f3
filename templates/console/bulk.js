// Does something to many channels, with a bar, a stop button and a report.
import { at, filled, number, setText, words } from "./page.js";
import { runAll } from "./queue.js";
import { fail } from "./session.js";
import { textOf } from "./trouble.js";

// Between the beginnings of two items, in milliseconds: what is new is listed in the order in which
// it was made.
const GAP = 10;

let controller = null;

at("stop").addEventListener("click", () => controller?.abort());

const showProgress = (done, all) => {
  at("done").max = Math.max(all, 1);
  at("done").value = done;
  setText(at("progress_text"), `${number(done)} / ${number(all)}`);
};

const report = ({ done, failed, left }) => {
  if (failed.length + left.length === 0) return filled(words.done, { done: number(done) });
  const counts = filled(words.done_some, { done: number(done), failed: number(failed.length), left: number(left.length) });
  const [first] = failed;
  return first ? `${counts}${filled(words.because, { reason: textOf(first.trouble) })}` : counts;
};

/** Ends what runs. */
export const stopAll = () => controller?.abort();

/** Does `work` for each item, and resolves to `{done, failed, left}`; `outcome` is called with each. */
export const runWithProgress = async (items, work, outcome = () => {}) => {
  controller = new AbortController();
  const result = { done: 0, failed: [], left: [] };
  let count = 0;
  setText(at("outcome"), "");
  at("progress").hidden = false;
  showProgress(0, items.length);
  await runAll(items, work, (it) => {
    if (it.isStopped) result.left.push(it);
    else if (it.trouble) result.failed.push(it);
    else result.done += 1;
    if (!it.isStopped) count += 1;
    showProgress(count, items.length);
    outcome(it);
  }, controller, GAP);
  controller = null;
  at("progress").hidden = true;
  setText(at("outcome"), report(result));
  const refused = result.failed.find(({ trouble }) => trouble.code === "unauthorized");
  if (refused) fail(refused.trouble);
  return result;
};
