// The chart: a bar of scans for each day, with the new followers among them in front.
import { at, filled, lang, number, setText, words } from "./page.js";

const HEIGHT = 220;
const FOOT = 24;

const shortDay = new Intl.DateTimeFormat(lang, { month: "numeric", day: "numeric", timeZone: "UTC" });
const longDay = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeZone: "UTC" });

const svg = at("chart");
let days = [];
let picked = -1;

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
  const most = Math.max(0, ...days.map((row) => row.scans));
  const step = lineStep(most);
  const top = Math.max(1, Math.ceil(most / step)) * step;
  const left = 12 + 8 * number(top).length;
  const width = svg.clientWidth;
  const each = (width - left - 16) / days.length;
  return { step, top, left, width, each, y: (value) => 10 + (HEIGHT - FOOT - 10) * (1 - value / top) };
};

const lineShapes = ({ step, top, left, width, y }) => {
  const shapes = [];
  for (let value = 0; value <= top; value += step) {
    shapes.push(shape("line", { x1: left, x2: width, y1: y(value), y2: y(value) }));
    shapes.push(shape("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, number(value)));
  }
  return shapes;
};

const barShapes = (row, middle, { each, y }) => {
  const width = Math.max(1, Math.min(28, each * 0.72));
  const group = shape("g", {});
  for (const name of ["scans", "new_followers"]) {
    const height = y(0) - y(row[name]);
    const rx = Math.min(2, width / 4);
    group.append(shape("rect", { class: name, x: middle - width / 2, y: y(row[name]), width, height, rx }));
  }
  return group;
};

const draw = () => {
  if (svg.clientWidth === 0 || days.length === 0) return svg.replaceChildren();
  const place = layout();
  svg.setAttribute("viewBox", `0 0 ${place.width} ${HEIGHT}`);
  svg.setAttribute("aria-label", filled(words.chart, { from: days[0].day, to: days.at(-1).day }));
  const shapes = lineShapes(place);
  const every = Math.ceil(56 / place.each);
  days.forEach((row, n) => {
    const middle = place.left + (n + 0.5) * place.each;
    shapes.push(barShapes(row, middle, place));
    if ((days.length - 1 - n) % every !== 0) return;
    const foot = { x: middle, y: HEIGHT - 6, "text-anchor": "middle" };
    shapes.push(shape("text", foot, shortDay.format(Date.parse(row.day))));
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
  const row = days.at(n);
  setText(at("readout"), filled(words.readout, {
    day: longDay.format(Date.parse(row.day)),
    scans: number(row.scans),
    new_followers: number(row.new_followers),
  }));
};

const pointAt = (event) => {
  if (days.length === 0) return;
  const { left, each } = layout();
  const n = Math.floor((event.clientX - svg.getBoundingClientRect().x - left) / each);
  pick(Math.max(0, Math.min(days.length - 1, n)));
};

/** Draws these days, the oldest first. */
export const showChart = (rows) => {
  days = rows;
  draw();
};

svg.addEventListener("pointermove", pointAt);
svg.addEventListener("pointerdown", pointAt);
svg.addEventListener("pointerleave", () => days.length > 0 && pick(-1));
new ResizeObserver(draw).observe(svg);
