// The sheet to print: labels on A4, and nothing else on the paper.
import { readAddress, writeAddress } from "./address.js";
import { identity, parsed, sceneText, title } from "./channel.js";
import { at, copyOf, dayOf, filled, number, setText, within, words } from "./page.js";
import { keptForPrint } from "./print_list.js";
import { runAll } from "./queue.js";
import { json } from "./service.js";
import { fail, reveal, start } from "./session.js";
import { layoutOf, SIZES } from "./sheet.js";
import { say } from "./trouble.js";
import { vectorOf } from "./vector.js";

// Drawn at once: paper has no pages to turn. More are printed in parts.
const MOST = 480;
// Scenes of one request: an address has its limit.
const SCENES = 20;
// Names that a warning has.
const MOST_NAMED = 10;
const SMALL = 20;
// Font sizes in mm, the first that a caption fits with is taken.
const FONTS = [6, 5, 4.5, 4, 3.5, 3, 2.7, 2.4, 2.1, 1.8, 1.6, 1.4, 1.2, 1];
// Where labels go by the size of the code, the caption rather gets more room.
const LEAST_FONT_BY_SIZE = 1.4;
// The width of A4 at the resolution of CSS.
const PAPER_PIXELS = 794;
const FILTERS = ["q", "group", "permanent", "archived", "sort"];
const CHECKS = ["show_group", "show_scene", "marks"];

let labels = [];
// Titles of those that cannot be printed.
let missing = [];
let total = 0;
let address = {};

const per = () => at("layout").elements.per.value;

/** How many come before those that are shown. */
const first = () => Number(at("part").value);

const byIdentities = async (names) => {
  const found = new Map();
  for (let from = 0; from < names.length; from += SCENES) {
    const scenes = names.slice(from, from + SCENES).map((name) => ["scene", name]);
    const { items } = await json("api/codes", [["archived", "all"], ["limit", SCENES], ...scenes]);
    for (const item of items) found.set(identity(item), item);
  }
  return names.map((name) => found.get(name) ?? { gone: parsed(name)?.title ?? name });
};

/** A part of what matches: the pages before it are passed over. */
const matching = async (state, offset) => {
  const filters = Object.fromEntries(FILTERS.filter((name) => state.get(name)).map((name) => [name, state.get(name)]));
  let page;
  for (let seen = 0; seen <= offset && (!page || page.next_cursor); seen += MOST) {
    const cursor = page?.next_cursor;
    page = await json("api/codes", { sort: "-created", ...filters, limit: MOST, ...(cursor && { cursor }) });
  }
  return page;
};

const wanted = async (state, offset) => {
  const one = parsed(state.get("channel"));
  if (!one && !state.get("picked")) return matching(state, offset);
  const names = one ? [one.identity] : keptForPrint();
  return { items: await byIdentities(names.slice(offset, offset + MOST)), total: names.length };
};

/** Reads the pictures, in the order of the channels; those that have none are missing. */
const withPictures = async (items) => {
  const pictures = new Map();
  const withCodes = items.filter((item) => item.svg_url);
  await runAll(withCodes, vectorOf, ({ item, result }) => {
    if (result) pictures.set(item, result);
  }, new AbortController());
  return {
    labels: items.filter((item) => pictures.has(item)).map((item) => ({ item, ...pictures.get(item) })),
    missing: items.filter((item) => !pictures.has(item)).map((item) => item.gone ?? title(item)),
  };
};

/** Says which ones are not on the paper, before it is printed. */
const showMissing = () => {
  const names = missing.slice(0, MOST_NAMED).join(words.comma);
  const count = number(missing.length);
  const text = missing.length > MOST_NAMED ? words.without_many : words.without;
  setText(at("missing"), missing.length === 0 ? "" : filled(text, { count, names }));
  at("retry").hidden = missing.length === 0;
  setText(at("print"), missing.length === 0 ? words.print : filled(words.print_rest, { count: number(labels.length) }));
};

/** Offers the parts of what is too much for one. */
const showParts = () => {
  const shown = first();
  const count = Math.max(1, Math.ceil(total / MOST));
  at("part").replaceChildren(...Array.from({ length: count }, (_, n) => {
    const option = document.createElement("option");
    option.value = String(n * MOST);
    option.textContent = filled(words.part, { from: number(n * MOST + 1), to: number(Math.min(total, (n + 1) * MOST)) });
    return option;
  }));
  at("part").value = String(Math.min(shown, (count - 1) * MOST));
  at("parts").hidden = count === 1;
};

const labelOf = ({ item, src }) => {
  const element = copyOf("label");
  const part = within(element);
  part("picture").src = src;
  part("picture").alt = title(item);
  setText(part("name"), title(item));
  setText(part("group"), item.group ?? "");
  setText(part("scene"), sceneText(item));
  part("group").hidden = !at("show_group").checked || !item.group;
  part("scene").hidden = !at("show_scene").checked;
  return element;
};

/** Takes the largest font with which the whole caption is seen. Returns how many times its room it needs. */
const fitCaption = (caption) => {
  for (const size of FONTS.filter((size) => per() !== "mm" || size >= LEAST_FONT_BY_SIZE)) {
    caption.style.setProperty("--font", `${size}mm`);
    if (caption.scrollHeight <= caption.clientHeight) return 1;
  }
  return caption.scrollHeight / caption.clientHeight;
};

/** Fits all captions. Returns how many times its room the longest one needs. */
const fitCaptions = () => Math.max(...[...at("papers").querySelectorAll("figcaption")].map(fitCaption));

const papersOf = (layout) => {
  const perPaper = layout.columns * layout.rows;
  const papers = [];
  for (let start = 0; start < labels.length; start += perPaper) {
    const paper = copyOf("paper");
    paper.append(...labels.slice(start, start + perPaper).map(labelOf));
    papers.push(paper);
  }
  return papers;
};

const warnings = (layout) => {
  const temporary = labels.map(({ item }) => item).filter((item) => !item.permanent);
  const end = temporary.map((item) => item.expires_at).sort()[0];
  return [
    layout.code < SMALL ? words.small : "",
    end ? filled(words.temporary_ones, { count: number(temporary.length), day: dayOf(end) }) : "",
    total > MOST ? filled(words.too_many, { most: number(MOST), total: number(total) }) : "",
  ].filter(Boolean).join(" ");
};

/** A phone shows the paper smaller than it is. */
const zoom = () => {
  const width = at("layout").getBoundingClientRect().width;
  at("papers").style.setProperty("--zoom", String(Math.min(1, width / PAPER_PIXELS)));
};

const draw = (layout, share) => {
  const papers = papersOf(layout);
  const lengths = {
    "--cell-width": layout.cell.width, "--cell-height": layout.cell.height, "--caption": layout.caption,
    "--picture": layout.code / share,
  };
  for (const [name, length] of Object.entries(lengths)) at("papers").style.setProperty(name, `${length}mm`);
  at("papers").style.setProperty("--columns", layout.columns);
  at("papers").replaceChildren(...papers);
};

/** Draws the papers, with room for the longest caption. */
const drawFitting = (mm) => {
  // Labels are equally large; a code with more modules has a wider picture.
  const share = Math.min(...labels.map((label) => label.share));
  let layout = layoutOf(per(), mm, share, 0);
  draw(layout, share);
  const needed = fitCaptions();
  if (needed > 1) {
    layout = layoutOf(per(), mm, share, Math.ceil(layout.caption * needed));
    draw(layout, share);
    fitCaptions();
  }
  return layout;
};

const show = () => {
  at("size").hidden = per() !== "mm";
  showMissing();
  const mm = Number(at("mm").value);
  const isGood = per() !== "mm" || (mm >= SIZES.least && mm <= SIZES.most);
  at("print").disabled = labels.length === 0 || !isGood;
  if (at("print").disabled) {
    setText(at("about"), isGood ? words.nothing : words.size);
    setText(at("warning"), "");
    return at("papers").replaceChildren();
  }
  at("papers").classList.toggle("marked", at("marks").checked);
  zoom();
  const layout = drawFitting(mm);
  const pages = at("papers").children.length;
  const counts = { count: number(labels.length), pages: number(pages), mm: number(Math.round(layout.code * 10) / 10) };
  setText(at("about"), filled(words.about, counts));
  setText(at("warning"), warnings(layout));
};

const readLayout = (state) => {
  const choice = [...at("layout").elements.per].find((it) => it.value === state.get("per"));
  if (choice) choice.checked = true;
  at("mm").value = state.get("mm") ?? at("mm").value;
  for (const id of CHECKS) at(id).checked = state.get(id) === "true";
  // Until it is known which parts there are.
  at("part").replaceChildren(new Option("", String(Math.floor((Number(state.get("first")) || 0) / MOST) * MOST)));
};

const keepLayout = () => {
  const layout = { per: per(), mm: per() === "mm" ? at("mm").value : "", first: first() ? String(first()) : "" };
  for (const id of CHECKS) layout[id] = at(id).checked ? "true" : "";
  writeAddress({ ...address, ...layout }, false);
};

const load = async () => {
  setText(at("about"), words.loading);
  at("print").disabled = true;
  try {
    const found = await wanted(readAddress(), first());
    ({ total } = found);
    showParts();
    ({ labels, missing } = await withPictures(found.items));
    say(null);
    show();
  } catch (trouble) {
    setText(at("about"), "");
    fail(trouble);
  }
};

const state = readAddress();
address = Object.fromEntries(["picked", "channel", ...FILTERS].map((name) => [name, state.get(name)]));
readLayout(state);
at("layout").addEventListener("change", ({ target }) => {
  keepLayout();
  if (target === at("part")) load();
  else show();
});
at("retry").addEventListener("click", load);
at("layout").addEventListener("submit", (event) => {
  event.preventDefault();
  window.print();
});
addEventListener("resize", zoom);
start({
  needs: ["stats"],
  entered: () => {
    reveal("print");
    load();
  },
  left: () => {
    [labels, missing] = [[], []];
    show();
  },
});
