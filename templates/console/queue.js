// Sends many requests, a few at a time. Each may be sent again, so stopping loses nothing.

const AT_ONCE = 4;
// A request that the service asks to send later is sent so often, and waited for so long, in
// seconds.
const TRIES = 5;
const LONGEST_WAIT = 60;
// Failures that all items would have: the first one ends the work.
const FINAL = ["unauthorized", "permanent_stock_exhausted"];

const isTransient = (trouble) =>
  trouble.retryAfter !== undefined || trouble.code === "unreachable" || trouble.code === "upstream_timeout";

/** Resolves after so many seconds, or when it is stopped. */
const wait = (seconds, signal) => new Promise((done) => {
  const timer = setTimeout(done, seconds * 1000);
  signal.addEventListener("abort", () => { clearTimeout(timer); done(); }, { once: true });
});

const withRetries = async (work, item, signal, pause) => {
  for (let tries = 1; ; tries += 1) {
    await pause.until;
    if (signal.aborted) return { item, isStopped: true };
    try {
      return { item, result: await work(item) };
    } catch (trouble) {
      const isWorthIt = isTransient(trouble) && (trouble.retryAfter ?? tries) <= LONGEST_WAIT && tries < TRIES;
      if (!isWorthIt) return { item, trouble };
      // All of them wait: the service is asked by one client.
      pause.until = wait(trouble.retryAfter ?? tries, signal);
    }
  }
};

/** Resolves for one caller after the other, with so many milliseconds between them. */
const spaced = (gap) => {
  let next = Promise.resolve();
  return () => {
    const turn = next;
    next = turn.then(() => new Promise((done) => { setTimeout(done, gap); }));
    return turn;
  };
};

/**
 * Does `work` for each item, and calls `done` with each outcome: `{item, result}`, `{item, trouble}` or `{item, isStopped}`.
 * What fails for all items stops all. With a `gap` in milliseconds between their beginnings, items begin in their order.
 */
export const runAll = async (items, work, done, controller, gap = 0) => {
  const { signal } = controller;
  const pause = { until: null };
  const turn = spaced(gap);
  const left = items[Symbol.iterator]();
  let end = null;
  const worker = async () => {
    for (const item of left) {
      if (gap > 0) await turn();
      const outcome = await withRetries(work, item, signal, pause);
      const code = outcome.trouble?.code;
      const isRepeated = end !== null && code === end;
      if (end === null && FINAL.includes(code)) {
        end = code;
        controller.abort();
      }
      done(isRepeated ? { item, isStopped: true } : outcome);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
};
