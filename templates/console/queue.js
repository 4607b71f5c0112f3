// Sends many requests, a few at a time. Each may be sent again, so stopping loses nothing.

const AT_ONCE = 4;
// A request that the service asks to send later is sent so often, and waited for so long, in seconds.
const TRIES = 5;
const LONGEST_WAIT = 60;

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

/**
 * Does `work` for each item, and calls `done` with each outcome: `{item, result}`, `{item, trouble}` or `{item, isStopped}`.
 * A key that is no longer valid stops all.
 */
export const runAll = async (items, work, done, controller) => {
  const { signal } = controller;
  const pause = { until: null };
  const left = items[Symbol.iterator]();
  const worker = async () => {
    for (const item of left) {
      const outcome = await withRetries(work, item, signal, pause);
      if (outcome.trouble?.code === "unauthorized") controller.abort();
      done(outcome);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
};
