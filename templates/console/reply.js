// The editor of a reply: none, a text with its length, or a card with a link.
import { filled, number, setText, within, words } from "./page.js";

const KINDS = ["text", "news"];
const CARD = ["title", "description", "url", "image_url"];

const kindOf = (reply) => KINDS.find((kind) => reply && kind in reply) ?? "none";

/** What a follower reads first; nothing without a reply. */
export const replyStart = (reply) => reply?.text ?? reply?.news?.title ?? "";

/** Shows how long the text is: in characters, or in bytes where those run out first. */
const count = (part) => {
  const text = part("reply_text").value;
  // What the service takes, and WeChat with it.
  const [most, mostBytes] = [part("reply_text").dataset.most, part("reply_text").dataset.most_bytes].map(Number);
  const characters = [...text].length;
  const bytes = new TextEncoder().encode(text).length;
  const inBytes = bytes > mostBytes && characters <= most;
  const values = inBytes
    ? { count: number(bytes), most: number(mostBytes) }
    : { count: number(characters), most: number(most) };
  setText(part("reply_count"), filled(inBytes ? words.reply_bytes : words.reply_count, values));
  const isLong = characters > most || bytes > mostBytes;
  part("reply_count").classList.toggle("problem", isLong);
  part("reply_text").setCustomValidity(isLong ? words.reply_long : "");
};

const warn = (part) => {
  const isOpen = ["url", "image_url"].some((name) => /^http:/i.test(part(`reply_${name}`).value.trim()));
  setText(part("reply_warning"), isOpen ? words.reply_http : "");
};

/** An editor of the elements in a form, which starts with a reply. */
export const createReplyEditor = (form, reply) => {
  const part = within(form);
  const kind = () => form.elements.reply_kind.value;
  const showKind = () => {
    for (const name of KINDS) {
      const fields = part(`reply_${name}_fields`);
      fields.hidden = kind() !== name;
      // What is not shown is not checked either.
      for (const field of fields.querySelectorAll("input, textarea")) field.disabled = fields.hidden;
    }
  };
  const fill = (reply) => {
    form.elements.reply_kind.value = kindOf(reply);
    part("reply_text").value = reply?.text ?? "";
    for (const name of CARD) part(`reply_${name}`).value = reply?.news?.[name] ?? "";
    showKind();
    count(part);
    warn(part);
  };
  const card = () => {
    const given = CARD.map((name) => [name, part(`reply_${name}`).value.trim()]);
    return Object.fromEntries(given.filter(([, value]) => value));
  };
  for (const choice of form.elements.reply_kind) choice.addEventListener("change", showKind);
  part("reply_text").addEventListener("input", () => count(part));
  part("reply_news_fields").addEventListener("input", () => warn(part));
  fill(reply);
  return {
    fill,
    /** What is edited; null for none. */
    value: () => ({ none: null, text: { text: part("reply_text").value }, news: { news: card() } })[kind()],
  };
};
