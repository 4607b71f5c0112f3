// The totals, beside those of as many days before.
import { NUMBERS } from "./numbers.js";
import { filled, lang, number, setText, words } from "./page.js";

const signed = new Intl.NumberFormat(lang, { signDisplay: "exceptZero" });
const percent = new Intl.NumberFormat(lang, { style: "percent", signDisplay: "exceptZero", maximumFractionDigits: 1 });

/** The difference, and its share of what was before: none where that would be of nothing. */
const comparison = (now, before) => {
  const difference = now - before;
  const share = before > 0 ? filled(words.share, { percent: percent.format(difference / before) }) : "";
  return filled(words.before, { before: number(before), difference: signed.format(difference), share });
};

/** A number that is null cannot be told; without `before` there is nothing to compare with. */
export const showTiles = (now, before) => {
  for (const name of NUMBERS) {
    const value = now[name];
    setText(document.querySelector(`[data-number=${name}]`), value === null ? "–" : number(value));
    const isCompared = value !== null && before;
    setText(document.querySelector(`[data-before=${name}]`), isCompared ? comparison(value, before[name] ?? 0) : "");
  }
};
