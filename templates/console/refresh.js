// Keeps a page up to date: looks for something new, seldom while that fails and never while nobody
// sees the page.
import { json } from "./service.js";

// Between two looks; twice as long after each failure, up to the second.
const PAUSE = 3000;
const LONGEST_PAUSE = 60_000;

/**
 * Something new is a new event, a new day, or another wish of the reader's. `refresh` is called with whether its answer still is
 * what is wanted; `refreshed` and `failed` tell how it went. Returns what starts it, stops it, and what says that something else
 * is wanted.
 */
export const keepUpToDate = ({ refresh, refreshed, failed, today }) => {
  // `wanted` counts what the reader asked for, `shown` is which of that is on the page.
  let [wanted, shown, shownDay] = [0, -1, ""];
  let cursor = "";
  let failures = 0;
  let isOn = false;
  let looking = false;
  let timer;

  const hasNews = async () => {
    try {
      return (await json("api/scans", { cursor, limit: 1 })).items.length > 0;
    } catch (trouble) {
      // A store that was put back to an earlier state does not know the place.
      if (trouble.code === "invalid_parameter") return true;
      throw trouble;
    }
  };

  const readAnew = async () => {
    const [version, day] = [wanted, today()];
    // The place first: what is stored while the numbers are on their way is news at the next look.
    const newest = await json("api/scans", { limit: 1 });
    if (version !== wanted) return;
    await refresh(() => version === wanted, newest.items.length > 0);
    if (version === wanted) [cursor, shown, shownDay] = [newest.cursor, version, day];
  };

  /** Looks once, and returns how long to wait for the next time. */
  const lookOnce = async () => {
    const started = performance.now();
    if (shown === wanted && shownDay === today() && !await hasNews()) return PAUSE;
    await readAnew();
    return Math.max(PAUSE, 4 * (performance.now() - started));
  };

  const look = async () => {
    clearTimeout(timer);
    if (looking || !isOn || document.hidden) return;
    looking = true;
    let pause = PAUSE;
    try {
      pause = await lookOnce();
      failures = 0;
      if (isOn) refreshed();
    } catch (trouble) {
      failures += 1;
      pause = Math.min(LONGEST_PAUSE, PAUSE * 2 ** failures);
      if (isOn) failed(trouble);
    }
    looking = false;
    const asksMore = failures === 0 && shown !== wanted;
    timer = setTimeout(look, asksMore ? 0 : pause);
  };

  document.addEventListener("visibilitychange", look);
  const change = () => {
    wanted += 1;
    look();
  };
  return {
    start: () => { [isOn, failures] = [true, 0]; change(); },
    stop: () => { isOn = false; wanted += 1; },
    change,
  };
};
