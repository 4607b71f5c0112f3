// The table of a plan: a page of its rows, of one status or all.
import { sceneText } from "./channel.js";
import { at, copyOf, filled, number, setText, within, words } from "./page.js";
import { replyStart } from "./reply.js";

const LINES = 50;

let rows = [];
let first = 0;

const status = () => at("shown_rows").elements.status.value;
const shownRows = () => rows.filter((row) => !status() || row.status === status());

/** What a row gives, after what its code has now where that changes. What is not given stays. */
const change = (now, given, isChanged) => {
  if (!isChanged) return given ?? "";
  if (given === undefined || given === now) return now ?? "";
  return filled(words.becomes, { now: now || words.nothing_now, next: given });
};

const lineOf = ({ line, status, request, current, problem, trimmed }) => {
  const element = copyOf("row");
  const part = within(element);
  element.className = status;
  setText(part("line"), number(line));
  setText(part("status"), words[`status_${status}`]);
  setText(part("problem"), problem ?? "");
  setText(part("trimmed"), trimmed?.length > 0 ? words.trimmed : "");
  const isChanged = status === "changed";
  setText(part("label"), change(current?.label, request?.label, isChanged));
  setText(part("reply"), change(replyStart(current?.reply), request?.reply && replyStart(request.reply), isChanged));
  setText(part("group"), change(current?.group, request?.group, isChanged));
  setText(part("scene"), request && ("scene_id" in request || "scene_str" in request) ? sceneText(request) : "");
  setText(part("kind"), request && "permanent" in request ? request.permanent ? words.permanent : words.temporary : "");
  return element;
};

const show = () => {
  const found = shownRows();
  const page = found.slice(first, first + LINES);
  at("rows").tBodies[0].replaceChildren(...page.map(lineOf));
  const place = { from: number(first + 1), to: number(first + page.length), all: number(found.length) };
  setText(at("place"), found.length === 0 ? words.none : filled(words.place, place));
  at("previous").hidden = first === 0;
  at("following").hidden = first + LINES >= found.length;
};

const turnTo = (place) => {
  first = place;
  show();
};

export const showRows = (planned) => {
  [rows, first] = [planned, 0];
  for (const place of at("shown_rows").querySelectorAll("[data-count]")) {
    const name = place.dataset.count;
    const count = rows.filter((row) => !name || row.status === name).length;
    setText(place, number(count));
    const choice = place.closest("label");
    choice.hidden = count === 0 && name !== "";
  }
  // What is wrong is looked at first.
  const isWrong = rows.some((row) => row.status === "invalid");
  at("shown_rows").elements.status.value = isWrong ? "invalid" : "";
  show();
};

at("shown_rows").addEventListener("change", () => turnTo(0));
at("previous").addEventListener("click", () => turnTo(first - LINES));
at("following").addEventListener("click", () => turnTo(first + LINES));
