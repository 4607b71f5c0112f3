// Shows the numbers, and shows them again when something new was stored. The key that is typed stays in this tab: it is sent
// in a header, and is in no address. All texts are in the page, in its language.
(() => {
  const STORED_KEY = "wxqr.stats.key";
  const DAY = 86_400_000;
  // Between two looks for something new; twice as long after each failure, up to the second.
  const PAUSE = 3000;
  const LONGEST_PAUSE = 60_000;
  const DEADLINE = 20_000;
  // Rows of the table that are drawn at once, and bars of the chart.
  const MAX_LINES = 200;
  const MOST_DAYS = 3660;
  const NUMBERS = ["scans", "people", "new_followers", "lost", "net"];
  const COLUMNS = ["name", "scene", "group", ...NUMBERS];
  const DEFAULT_DAYS = 30;
  const DEFAULT_SORTING = { by: "scans", down: true };

  // The service is asked by scenes of ours; what came with an unknown ticket may be none.
  const CAN_BE_ASKED = /^id:|^str:(?!wxqr\.)[^\p{Cc}]{1,64}$/u;

  const at = (id) => document.getElementById(id);
  const words = at("words").dataset;
  const lang = document.documentElement.lang;
  const offset = Number(words.offset) * 60_000;
  const digits = new Intl.NumberFormat(lang);
  const order = new Intl.Collator(lang, { numeric: true });
  const shortDay = new Intl.DateTimeFormat(lang, { month: "numeric", day: "numeric", timeZone: "UTC" });
  const longDay = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeZone: "UTC" });
  const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const setText = (element, text) => {
    if (element.textContent !== text) element.textContent = text;
  };

  // The page may have been asked for with a slash at its end.
  const ROOT = location.pathname.endsWith("/") ? "../" : "";

  let key = null;
  // How far the service's clock is ahead of this machine's: days are the service's.
  let ahead = 0;
  let days = DEFAULT_DAYS;
  let dates = null;
  let chosen = null;
  let sorting = { ...DEFAULT_SORTING };
  let maxLines = MAX_LINES;
  // What is on the page.
  let rows = [];
  let chart = [];
  let picked = -1;

  const localTime = () => new Date(Date.now() + ahead + offset).toISOString();
  const today = () => localTime().slice(0, 10);
  const daysBefore = (day, count) => new Date(Date.parse(day) - count * DAY).toISOString().slice(0, 10);
  const range = () => dates ?? { from: daysBefore(today(), days - 1), to: today() };

  // Talking to the service.

  class Trouble extends Error {
    constructor(code) {
      super(code);
      this.code = code;
    }
  }

  const ask = async (path, parameters, read) => {
    try {
      const answer = await fetch(`${ROOT}${path}?${new URLSearchParams(parameters)}`, {
        headers: { Authorization: `Bearer ${key}` },
        cache: "no-store",
        signal: AbortSignal.timeout?.(DEADLINE),
      });
      const date = Date.parse(answer.headers.get("date"));
      if (date) ahead = date - Date.now();
      if (answer.ok) return await read(answer);
      const problem = await answer.json().catch(() => ({}));
      throw new Trouble(problem.code ?? "failed");
    } catch (error) {
      throw error instanceof Trouble ? error : new Trouble("unreachable");
    }
  };
  const json = (path, parameters) => ask(path, parameters, (answer) => answer.json());

  const mark = (id, isWrong) => isWrong ? at(id).setAttribute("aria-invalid", "true") : at(id).removeAttribute("aria-invalid");
  const say = (code) => setText(at("trouble"), code ? words[code] ?? words.failed : "");

  // Keeping up to date. `wanted` counts what the reader asked for, `shown` is which of that is on the page.

  let wanted = 0;
  let shown = -1;
  let shownDay = "";
  let cursor = "";
  let failures = 0;
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

  const refresh = async () => {
    const version = wanted;
    const day = today();
    const { from, to } = range();
    const one = chosen;
    // The place first: what is stored while the numbers are on their way is news at the next look.
    const newest = await json("api/scans", { limit: 1 });
    const [total, daily] = await Promise.all([
      json("api/stats", { from, to }),
      json("api/stats", { from, to, by: "day", ...(one ? { scene: one.scene } : { sum: true }) }),
    ]);
    if (version !== wanted) return;
    cursor = newest.cursor;
    rows = total.rows;
    chart = one ? daily.rows.filter((row) => identity(row) === one.identity) : daily.rows;
    if (at("silence")) at("silence").hidden = newest.items.length > 0;
    showDates(total);
    show();
    [shown, shownDay] = [version, day];
    setText(at("live"), filled(words.live, { time: localTime().slice(11, 19), zone: words.zone }));
  };

  const look = async () => {
    clearTimeout(timer);
    if (looking || key === null || document.hidden) return;
    looking = true;
    const mine = key;
    const started = performance.now();
    let pause = PAUSE;
    try {
      if (shown !== wanted || shownDay !== today() || await hasNews()) {
        await refresh();
        pause = Math.max(PAUSE, 4 * (performance.now() - started));
      }
      if (mine === key && shown === wanted) entered();
    } catch (trouble) {
      if (mine === key) pause = failed(trouble.code);
    }
    looking = false;
    const asksMore = failures === 0 && shown !== wanted;
    timer = setTimeout(look, asksMore ? 0 : pause);
  };

  const change = () => {
    wanted += 1;
    look();
  };

  const failed = (code) => {
    if (code === "unauthorized" || code === "scope_missing") {
      leave(code);
      return PAUSE;
    }
    failures += 1;
    say(code);
    return Math.min(LONGEST_PAUSE, PAUSE * 2 ** failures);
  };

  // The key.

  const storage = {
    get: () => { try { return sessionStorage.getItem(STORED_KEY); } catch { return null; } },
    set: (value) => { try { sessionStorage.setItem(STORED_KEY, value); } catch { /* Then it is kept until the page is left. */ } },
    clear: () => { try { sessionStorage.removeItem(STORED_KEY); } catch { /* Nothing was kept. */ } },
  };

  // What is shown is in the address, so that a reload, a bookmark and the way back keep it. What is as ever is left out.

  const isRange = (from, to) => {
    // A day that is not in the calendar would be read as one of the next month.
    const isDay = (day) => day >= "1970-01-01" && !Number.isNaN(Date.parse(day)) && daysBefore(day, 0) === day;
    return isDay(from) && isDay(to) && from <= to && (Date.parse(to) - Date.parse(from)) / DAY < MOST_DAYS;
  };

  const KINDS = ["permanent", "temporary", "unattributed"];
  const STATE = ["days", "from", "to", "channel", "q", "sort"];

  const readAddress = () => {
    const state = new URLSearchParams(location.search);
    const [from, to] = [state.get("from") ?? "", state.get("to") ?? ""];
    dates = isRange(from, to) ? { from, to } : null;
    const choices = [...document.querySelectorAll("[name=days]")];
    const given = choices.find((choice) => choice.value === state.get("days"));
    days = given ? Number(given.value) : DEFAULT_DAYS;
    for (const choice of choices) choice.checked = !dates && Number(choice.value) === days;
    const [kind, scene] = (state.get("channel") ?? "").split(/:(.*)/s);
    const isChannel = KINDS.includes(kind) && CAN_BE_ASKED.test(scene ?? "");
    chosen = isChannel ? { identity: `${kind} ${scene}`, scene, title: scene.slice(scene.indexOf(":") + 1) } : null;
    at("search").value = state.get("q") ?? "";
    const sort = state.get("sort") ?? "";
    const by = sort.replace(/^-/, "");
    sorting = COLUMNS.includes(by) ? { by, down: sort.startsWith("-") } : { ...DEFAULT_SORTING };
    maxLines = MAX_LINES;
    linkOtherLanguage();
  };

  const writeAddress = (isStep) => {
    const url = new URL(location);
    for (const name of STATE) url.searchParams.delete(name);
    const set = (name, value) => value && url.searchParams.set(name, value);
    if (dates) for (const [name, day] of Object.entries(dates)) set(name, day);
    else if (days !== DEFAULT_DAYS) set("days", String(days));
    set("channel", chosen?.identity.replace(" ", ":"));
    set("q", at("search").value.trim());
    const { by, down } = sorting;
    if (by !== DEFAULT_SORTING.by || !down) set("sort", `${down ? "-" : ""}${by}`);
    // A browser refuses when this is done a hundred times in half a minute; the page goes on without.
    try {
      if (url.href !== location.href) history[isStep ? "pushState" : "replaceState"](null, "", url);
    } catch { /* The address is that of a moment before. */ }
    linkOtherLanguage();
  };

  const linkOtherLanguage = () => {
    const link = document.querySelector(".top [lang]");
    const [there, here] = [new URL(link.href), new URL(location)];
    for (const name of STATE) {
      there.searchParams.delete(name);
      if (here.searchParams.has(name)) there.searchParams.set(name, here.searchParams.get(name));
    }
    link.href = there;
  };

  const enter = (secret) => {
    // What no header can carry is no key.
    if (!/^[\x21-\x7e]+$/.test(secret)) return leave("unauthorized");
    key = secret;
    failures = 0;
    change();
  };

  const entered = () => {
    failures = 0;
    say("");
    if (!at("board").hidden) return;
    storage.set(key);
    const typed = at("entry").contains(document.activeElement);
    at("key").value = "";
    mark("key", false);
    at("entry").hidden = true;
    at("board").hidden = false;
    draw();
    if (typed) at("subject").focus();
  };

  const leave = (code) => {
    key = null;
    wanted += 1;
    storage.clear();
    [rows, chart] = [[], []];
    lines.clear();
    if (!code) {
      // Signing out resets the choices; an invalid key does not.
      [days, dates, chosen, sorting] = [DEFAULT_DAYS, null, null, { ...DEFAULT_SORTING }];
      at("search").value = "";
      writeAddress(false);
      readAddress();
    }
    for (const id of ["readout", "live", "file_trouble"]) setText(at(id), "");
    show();
    at("board").hidden = true;
    at("entry").hidden = false;
    at("key").value = "";
    mark("key", Boolean(code));
    at("key").focus();
    say(code);
  };

  // What is on the page.

  const scene = (row) => "scene_id" in row ? `id:${row.scene_id}` : `str:${row.scene_str}`;
  const sceneText = (row) => "scene_id" in row ? String(row.scene_id) : row.scene_str;
  const kind = (row) => row.attributed ? row.permanent ? "permanent" : "temporary" : "unattributed";
  const identity = (row) => `${kind(row)} ${scene(row)}`;
  const title = (row) => row.label ?? (sceneText(row) || words.no_scene);

  const showDates = ({ from, to }) => {
    for (const [id, day] of [["from", from], ["to", to]]) {
      const input = at(id);
      if (document.activeElement !== input) input.value = day;
      mark(id, false);
    }
  };

  const show = () => {
    const one = chosen && rows.find((row) => identity(row) === chosen.identity);
    if (one) chosen.title = title(one);
    setText(at("subject"), chosen ? chosen.title : words.all);
    at("all").hidden = !chosen;
    at("of_one").hidden = Boolean(chosen);
    for (const name of NUMBERS) {
      const sum = () => rows.reduce((sum, row) => sum + row[name], 0);
      const value = chosen ? one?.[name] ?? 0 : name === "people" ? null : sum();
      setText(document.querySelector(`[data-number=${name}]`), value === null ? "–" : digits.format(value));
    }
    showChannels();
    showDays();
    draw();
  };

  const choose = (row) => {
    chosen = row && { identity: identity(row), scene: scene(row), title: title(row) };
    writeAddress(true);
    change();
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    at("subject").scrollIntoView({ block: "nearest", behavior: calm ? "instant" : "smooth" });
  };

  // The table of channels. Its lines are reused, so that the focus stays when numbers change.

  const lines = new Map();

  const lineOf = (row) => {
    const name = identity(row);
    if (!lines.has(name)) {
      const line = at("line").content.firstElementChild.cloneNode(true);
      line.querySelector("button").addEventListener("click", () => choose(line.row));
      lines.set(name, line);
    }
    const line = lines.get(name);
    line.row = row;
    const button = line.querySelector("button");
    setText(button, title(row));
    button.setAttribute("aria-pressed", String(chosen?.identity === name));
    button.disabled = !CAN_BE_ASKED.test(scene(row));
    setText(line.querySelector("code"), sceneText(row));
    setText(line.querySelector(".kind"), words[kind(row)]);
    setText(line.cells[2], row.group ?? "");
    NUMBERS.forEach((number, n) => setText(line.cells[3 + n], digits.format(row[number])));
    return line;
  };

  const sorted = (list) => {
    const texts = { name: title, scene: sceneText, group: (row) => row.group ?? "" };
    const text = texts[sorting.by];
    const compare = text
      ? (a, b) => order.compare(text(a), text(b))
      : (a, b) => a[sorting.by] - b[sorting.by];
    const sign = sorting.down ? -1 : 1;
    return list.sort((a, b) => sign * compare(a, b) || order.compare(title(a), title(b)));
  };

  const showChannels = () => {
    const query = at("search").value.trim().toLocaleLowerCase();
    const isFound = (row) => [title(row), sceneText(row), row.group ?? ""]
      .some((text) => text.toLocaleLowerCase().includes(query));
    const found = sorted(rows.filter(isFound));
    const drawn = found.slice(0, maxLines).map(lineOf);
    const body = at("channels").tBodies[0];
    const isSame = drawn.length === body.rows.length && drawn.every((line, n) => line === body.rows[n]);
    if (!isSame) {
      const focused = document.activeElement;
      body.replaceChildren(...drawn);
      if (body.contains(focused)) focused.focus({ preventScroll: true });
    }
    for (const button of document.querySelectorAll("#channels [data-by]")) {
      const isBy = button.dataset.by === sorting.by;
      const header = button.parentElement;
      if (isBy) header.setAttribute("aria-sort", sorting.down ? "descending" : "ascending");
      else header.removeAttribute("aria-sort");
    }
    at("channels").hidden = drawn.length === 0;
    at("more").hidden = drawn.length === found.length;
    at("about_unattributed").hidden = rows.every((row) => row.attributed);
    const all = digits.format(rows.length);
    const some = digits.format(drawn.length);
    const says = rows.length === 0 ? words.empty
      : found.length === 0 ? words.none
      : drawn.length === rows.length ? words.count : words.some;
    setText(at("count"), filled(says, { all, some }));
  };

  const showDays = () => {
    const table = at("days");
    table.classList.toggle("of_all", !chosen);
    table.tBodies[0].replaceChildren(...[...chart].reverse().map((row) => {
      const line = document.createElement("tr");
      const day = document.createElement("th");
      day.scope = "row";
      day.textContent = row.day;
      line.append(day);
      for (const name of NUMBERS) {
        const cell = line.insertCell();
        cell.className = name;
        cell.textContent = name in row ? digits.format(row[name]) : "";
      }
      return line;
    }));
  };

  // The chart: a bar of scans for each day, with the new followers among them in front.

  const svg = at("chart");
  const HEIGHT = 220;
  const FOOT = 24;

  const shape = (name, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };

  /** 1, 2 or 5 times a power of ten, so that about three lines reach the top. */
  const lineStep = (most) => {
    const rough = Math.max(most / 3, 1);
    const power = 10 ** Math.floor(Math.log10(rough));
    return [1, 2, 5, 10].map((n) => n * power).find((step) => step >= rough);
  };

  const layout = () => {
    const most = Math.max(0, ...chart.map((row) => row.scans));
    const step = lineStep(most);
    const top = Math.max(1, Math.ceil(most / step)) * step;
    const left = 12 + 8 * digits.format(top).length;
    const width = svg.clientWidth;
    const each = (width - left - 16) / chart.length;
    return { step, top, left, width, each, y: (value) => 10 + (HEIGHT - FOOT - 10) * (1 - value / top) };
  };

  const draw = () => {
    if (svg.clientWidth === 0 || chart.length === 0) return svg.replaceChildren();
    const { step, top, left, width, each, y } = layout();
    svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    svg.setAttribute("aria-label", filled(words.chart, { from: chart[0].day, to: chart.at(-1).day }));
    const shapes = [];
    for (let value = 0; value <= top; value += step) {
      shapes.push(shape("line", { x1: left, x2: width, y1: y(value), y2: y(value) }));
      shapes.push(shape("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, digits.format(value)));
    }
    const bar = Math.max(1, Math.min(28, each * 0.72));
    const every = Math.ceil(56 / each);
    chart.forEach((row, n) => {
      const middle = left + (n + 0.5) * each;
      const group = shape("g", {});
      for (const name of ["scans", "new_followers"]) {
        const height = y(0) - y(row[name]);
        group.append(shape("rect", { class: name, x: middle - bar / 2, y: y(row[name]), width: bar, height, rx: Math.min(2, bar / 4) }));
      }
      shapes.push(group);
      if ((chart.length - 1 - n) % every === 0) {
        const place = { x: middle, y: HEIGHT - 6, "text-anchor": "middle" };
        shapes.push(shape("text", place, shortDay.format(Date.parse(row.day))));
      }
    });
    svg.replaceChildren(...shapes);
    pick(-1);
  };

  /** Shows the numbers of a day; those of the last one if none is pointed at. */
  const pick = (n) => {
    const groups = svg.querySelectorAll("g");
    groups[picked]?.classList.remove("picked");
    picked = n;
    groups[picked]?.classList.add("picked");
    const row = chart.at(n);
    setText(at("readout"), filled(words.readout, {
      day: longDay.format(Date.parse(row.day)),
      scans: digits.format(row.scans),
      new_followers: digits.format(row.new_followers),
    }));
  };

  const pointAt = (event) => {
    if (chart.length === 0) return;
    const { left, each } = layout();
    const n = Math.floor((event.clientX - svg.getBoundingClientRect().x - left) / each);
    pick(Math.max(0, Math.min(chart.length - 1, n)));
  };

  // What the reader does.

  const setDates = () => {
    const [from, to] = [at("from").value, at("to").value];
    const isGood = isRange(from, to);
    for (const id of ["from", "to"]) mark(id, !isGood);
    setText(at("file_trouble"), isGood ? "" : words.range);
    if (!isGood) return;
    for (const choice of document.querySelectorAll("[name=days]")) choice.checked = false;
    dates = { from, to };
    writeAddress(true);
    change();
  };

  const fileName = (disposition) => {
    const name = /filename\*=UTF-8''([^;]+)/.exec(disposition)?.[1];
    return name ? decodeURIComponent(name) : "wxqr-stats.csv";
  };

  const download = async (by) => {
    setText(at("file_trouble"), "");
    try {
      const one = chosen && { scene: chosen.scene };
      const file = await ask("api/stats.csv", { ...range(), by, ...one, lang: words.lang }, async (answer) => ({
        name: fileName(answer.headers.get("content-disposition") ?? ""),
        blob: await answer.blob(),
      }));
      const link = document.createElement("a");
      link.href = URL.createObjectURL(file.blob);
      link.download = file.name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), LONGEST_PAUSE);
    } catch (trouble) {
      setText(at("file_trouble"), words[trouble.code] ?? words.failed);
    }
  };

  at("entry").addEventListener("submit", (event) => {
    event.preventDefault();
    enter(at("key").value.trim());
  });
  at("leave").addEventListener("click", () => leave());
  at("range").addEventListener("submit", (event) => event.preventDefault());
  for (const choice of document.querySelectorAll("[name=days]")) {
    choice.addEventListener("change", () => {
      [days, dates] = [Number(choice.value), null];
      setText(at("file_trouble"), "");
      writeAddress(true);
      change();
    });
  }
  for (const id of ["from", "to"]) at(id).addEventListener("change", setDates);
  for (const button of document.querySelectorAll("[data-file]")) {
    button.addEventListener("click", () => download(button.dataset.file));
  }
  at("all").addEventListener("click", () => choose(null));
  for (const button of document.querySelectorAll("#channels [data-by]")) {
    button.addEventListener("click", () => {
      const { by } = button.dataset;
      sorting = { by, down: sorting.by === by ? !sorting.down : NUMBERS.includes(by) };
      writeAddress(false);
      showChannels();
    });
  }
  at("search").addEventListener("input", () => {
    maxLines = MAX_LINES;
    writeAddress(false);
    showChannels();
  });
  at("more").addEventListener("click", () => {
    maxLines += MAX_LINES;
    showChannels();
  });
  svg.addEventListener("pointermove", pointAt);
  svg.addEventListener("pointerdown", pointAt);
  svg.addEventListener("pointerleave", () => chart.length > 0 && pick(-1));
  new ResizeObserver(draw).observe(svg);
  document.addEventListener("visibilitychange", look);

  addEventListener("popstate", () => {
    readAddress();
    showChannels();
    change();
  });

  readAddress();
  const stored = storage.get();
  if (stored !== null) enter(stored);
})();
