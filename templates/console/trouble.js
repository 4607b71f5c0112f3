// Tells the reader what went wrong.
import { at, setText, words } from "./page.js";

/** In the page's language where it has words for it; the service's details are in English. */
export const textOf = (trouble) => {
  const title = words[trouble.code] ?? words[`problem_${trouble.code}`] ?? words.failed;
  const isExplained = trouble.code in words || !trouble.detail;
  return isExplained ? title : `${title}${words.colon}${trouble.detail}`;
};

/** Shows it above the page, where it is seen; nothing takes it away. */
export const say = (trouble) => {
  setText(at("trouble"), trouble ? textOf(trouble) : "");
  if (trouble) at("trouble").scrollIntoView({ block: "nearest" });
};
