// The numbers of the channels of a page, in the chosen days.
import { identity } from "./channel.js";
import { number } from "./page.js";
import { runAll } from "./queue.js";
import { json } from "./service.js";

export const NUMBERS = ["scans", "people", "new_followers", "lost", "net"];

/** Calls back with each channel and its numbers: the service is asked for those of a page only, however many channels it has. */
export const readNumbers = (items, range, show) => {
  const read = async (item) => {
    const { rows } = await json("api/stats", { ...range, scene: identity(item) });
    show(item, rows[0]);
  };
  const controller = new AbortController();
  return new Promise((done, failed) => {
    const outcome = ({ trouble }) => {
      if (!trouble) return;
      controller.abort();
      failed(trouble);
    };
    runAll(items, read, outcome, controller).then(done);
  });
};

export const showNumbers = (element, row) => {
  for (const name of NUMBERS) {
    const place = element.querySelector(`[data-number=${name}]`);
    if (place) place.textContent = number(row?.[name] ?? 0);
  }
};
