// A line of the list.
import { sceneText, title } from "./channel.js";
import { copyOf, dayOf, filled, setText, within, words } from "./page.js";
import { pictureOf } from "./picture.js";

const validity = (item) => {
  if (item.outcome) return words.unknown;
  return item.expires_at ? filled(words.until, { day: dayOf(item.expires_at) }) : "";
};

const created = ({ created_at, created_by }) => {
  if (!created_at) return "";
  const day = dayOf(created_at);
  return created_by ? filled(words.created_by, { day, name: created_by }) : day;
};

/** Shows what may change of a channel. */
export const showLine = (line, item) => {
  const part = within(line);
  setText(part("name"), title(item));
  setText(part("group"), item.group ?? "");
  setText(part("about_pick"), filled(words.pick, { name: title(item) }));
  part("archived").hidden = !item.archived;
  part("replies").hidden = !item.reply;
};

export const createLine = (item) => {
  const line = copyOf("line");
  const part = within(line);
  const picture = pictureOf(item);
  if (picture) part("picture").src = picture;
  setText(part("scene"), item.label === undefined ? "" : sceneText(item));
  setText(part("kind"), item.permanent ? words.permanent : words.temporary);
  setText(part("validity"), validity(item));
  setText(part("created"), created(item));
  showLine(line, item);
  return line;
};
