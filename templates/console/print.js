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

// Drawn at once, all of them: paper has no pages to turn.
const MOST = 480;
const PAGE = 240;
const SMALL = 20;
// Font sizes in mm, the first that a caption fits with is taken.
const FONTS = [6, 5, 4.5, 4, 3.5, 3, 2.7, 2.4, 2.1, 1.8, 1.6, 1.4, 1.2, 1];
// The width of A4 at the resolution of CSS.
const PAPER_PIXELS = 794;
const FILTERS = ["q", "group", "permanent", "archived", "sort"];
const CHECKS = ["show_group", "show_scene", "marks"];

let labels = [];
let leftOut = 0;
let address = {};

const per = () => at("layout").elements.per.value;

const channelOf = async ({ scene, identity: name }) => {
  const { items } = await json("api/codes", { scene, archived: "all" });
  return { items: items.filter((item) => identity(item) === name), total: 1 };
};

const matching = async (state) => {
  const filters = Object.fromEntries(FILTERS.filter((name) => state.get(name)).map((name) => [name, state.get(name)]));
  const items = [];
  let page;
  do {
    const cursor = page?.next_cursor;
    page = await json("api/codes", { sort: "-created", ...filters, limit: PAGE, ...(cursor && { cursor }) });
    items.push(...page.items);
  } while (page.next_cursor && items.length < MOST);
  return { items, total: page.total };
};

const wanted = async (state) => {
  const one = parsed(state.get("channel"));
  if (one) return channelOf(one);
  if (!state.get("picked")) return matching(state);
  const items = keptForPrint();
  return { items, total: items.length };
};

/** Reads the pictures, in the order of the channels. */
const withPictures = async (items) => {
  const pictures = new Map();
  const failures = [];
  await runAll(items, vectorOf, ({ item, result, trouble }) => {
    if (result) pictures.set(item, result);
    else failures.push(trouble);
  }, new AbortController());
  if (pictures.size === 0 && failures.length > 0) throw failures[0];
  return items.filter((item) => pictures.has(item)).map((item) => ({ item, ...pictures.get(item) }));
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

/** The largest font with which the whole caption is seen. */
const fitCaption = (caption) => {
  for (const size of FONTS) {
    caption.style.setProperty("--font", `${size}mm`);
    if (caption.scrollHeight <= caption.clientHeight + 1) return;
  }
};

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
  const first = temporary.map((item) => item.expires_at).sort()[0];
  return [
    layout.code < SMALL ? words.small : "",
    first ? filled(words.temporary_ones, { count: number(temporary.length), day: dayOf(first) }) : "",
    leftOut > 0 ? filled(words.too_many, { most: number(MOST), left: number(leftOut) }) : "",
  ].filter(Boolean).join(" ");
};

/** A phone shows the paper smaller than it is. */
const zoom = () => {
  const width = at("layout").getBoundingClientRect().width;
  at("papers").style.setProperty("--zoom", String(Math.min(1, width / PAPER_PIXELS)));
};

const show = () => {
  at("size").hidden = per() !== "mm";
  at("print").disabled = labels.length === 0;
  const mm = Number(at("mm").value);
  const isGood = per() !== "mm" || (mm >= SIZES.least && mm <= SIZES.most);
  if (labels.length === 0 || !isGood) {
    setText(at("about"), isGood ? words.nothing : words.size);
    at("print").disabled = true;
    return at("papers").replaceChildren();
  }
  // Labels are equally large; a code with more modules has a wider picture.
  const share = Math.min(...labels.map((label) => label.share));
  const layout = layoutOf(per(), mm, share);
  const papers = papersOf(layout);
  const lengths = {
    "--cell-width": layout.cell.width, "--cell-height": layout.cell.height, "--caption": layout.caption,
    "--picture": layout.code / share,
  };
  for (const [name, length] of Object.entries(lengths)) at("papers").style.setProperty(name, `${length}mm`);
  at("papers").style.setProperty("--columns", layout.columns);
  at("papers").classList.toggle("marked", at("marks").checked);
  zoom();
  at("papers").replaceChildren(...papers);
  for (const caption of at("papers").querySelectorAll("figcaption")) fitCaption(caption);
  const counts = { count: number(labels.length), pages: number(papers.length), mm: number(Math.round(layout.code * 10) / 10) };
  setText(at("about"), filled(words.about, counts));
  setText(at("warning"), warnings(layout));
};

const readLayout = (state) => {
  const choice = [...at("layout").elements.per].find((it) => it.value === state.get("per"));
  if (choice) choice.checked = true;
  at("mm").value = state.get("mm") ?? at("mm").value;
  for (const id of CHECKS) at(id).checked = state.get(id) === "true";
};

const keepLayout = () => {
  const layout = { per: per(), mm: per() === "mm" ? at("mm").value : "" };
  for (const id of CHECKS) layout[id] = at(id).checked ? "true" : "";
  writeAddress({ ...address, ...layout }, false);
};

const load = async () => {
  setText(at("about"), words.loading);
  try {
    const { items, total } = await wanted(readAddress());
    const withCodes = items.slice(0, MOST).filter((item) => item.svg_url);
    leftOut = total - Math.min(items.length, MOST);
    labels = await withPictures(withCodes);
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
at("layout").addEventListener("change", () => {
  keepLayout();
  show();
});
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
    labels = [];
    show();
  },
});
