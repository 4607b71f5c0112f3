// What opens below a channel of the list: its picture, its names, and what can be taken away.
import { pageLink } from "./address.js";
import { identity, title } from "./channel.js";
import { copyOnClick } from "./copy.js";
import { canChange, change } from "./names.js";
import { copyOf, filled, setText, within, words } from "./page.js";
import { ownLink, pictureOf } from "./picture.js";
import { createReplyEditor, replyStart } from "./reply.js";
import { link } from "./service.js";
import { fail, offer } from "./session.js";
import { textOf } from "./trouble.js";

/** A text for a page of somebody else's. */
const snippet = (text, url) => filled(text, { link: url.replaceAll("&", "&amp;") });

/** The element that /embed.js fills with the code, by the parameters of its links. */
const scriptOf = (item) => {
  const attributes = [...new URL(item.svg_url, location).searchParams].map(([name, value]) =>
    ` ${name.replace("_", "-")}="${value.replaceAll("&", "&amp;").replaceAll('"', "&quot;")}"`);
  return filled(words.script, { link: link("embed.js"), attributes: attributes.join("") });
};

const showPicture = (part, item) => {
  part("picture").src = pictureOf(item);
  part("picture").alt = title(item);
  part("large").href = ownLink("qrcode", item.svg_url);
};

const showFiles = (part, item) => {
  for (const format of ["png", "svg"]) {
    part(format).href = ownLink(`qrcode.${format}`, item.svg_url);
    part(format).download = `${title(item)}.${format}`;
  }
  part("print").href = pageLink(link("codes/print"), { channel: identity(item) });
  copyOnClick(part("copy_link"), () => ownLink("qrcode", item.svg_url));
  copyOnClick(part("copy_element"), () => snippet(words.element, ownLink("qrcode.png", item.svg_url)));
  copyOnClick(part("copy_frame"), () => snippet(words.frame, ownLink("qrcode", item.svg_url)));
  copyOnClick(part("copy_script"), () => scriptOf(item));
};

/** Changes the channel while its buttons rest, and says what became of it. */
const save = async (part, item, changes, said, changed) => {
  const forms = [part("form"), part("reply_form")].flatMap((form) => [...form.querySelectorAll("button")]);
  const buttons = [...forms, part("archive"), part("bring_back")];
  for (const button of buttons) button.disabled = true;
  setText(part("note"), "");
  try {
    await change(item, changes);
    changed();
    setText(part("note"), said);
  } catch (trouble) {
    setText(part("note"), textOf(trouble));
    if (trouble.code === "unauthorized") fail(trouble);
  }
  for (const button of buttons) button.disabled = false;
};

const showState = (part, item) => {
  const isMine = canChange(item);
  part("form").hidden = part("reply_details").hidden = !isMine;
  setText(part("reply_start"), replyStart(item.reply) || words.no_reply);
  part("archive").hidden = !isMine || item.archived;
  part("bring_back").hidden = !isMine || !item.archived;
};

/** The panel of a channel. `range` is what the address of its numbers has of the days, `changed` is called after each change. */
export const createPanel = (item, range, changed) => {
  const panel = copyOf("panel");
  const part = within(panel);
  offer(panel);
  const hasCode = Boolean(item.svg_url);
  for (const name of ["large", "png", "svg", "print", "copy_link", "copy_element", "copy_frame"]) part(name).hidden = !hasCode;
  // It renews a code that ends; a permanent one needs none.
  part("copy_script").hidden = !hasCode || item.permanent;
  if (hasCode) {
    showPicture(part, item);
    showFiles(part, item);
  }
  part("numbers").href = pageLink(link("stats"), { ...range, channel: identity(item) });
  part("label").value = item.label ?? "";
  part("group").value = item.group ?? "";
  const change = () => { showState(part, item); changed(); };
  part("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const names = { label: part("label").value.trim(), group: part("group").value.trim() };
    save(part, item, names, words.saved, change);
  });
  const editor = createReplyEditor(part("reply_form"), item.reply);
  part("reply_form").addEventListener("submit", (event) => {
    event.preventDefault();
    save(part, item, { reply: editor.value() }, words.saved, change);
  });
  part("archive").addEventListener("click", () => save(part, item, { archived: true }, words.archived, change));
  part("bring_back").addEventListener("click", () => save(part, item, { archived: false }, words.brought_back, change));
  showState(part, item);
  return panel;
};
