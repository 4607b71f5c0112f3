// Keeps what is shown in the page's address, so that a reload, a bookmark and the way back keep it.
import { words } from "./page.js";

/** The link to the page in the other language shows the same. */
const linkOtherLanguage = () => {
  const other = document.querySelector(".top [lang]");
  const there = new URL(other.href);
  const language = there.searchParams.get("lang");
  there.search = location.search;
  there.searchParams.set("lang", language);
  other.href = there;
};

export const readAddress = () => {
  linkOtherLanguage();
  return new URLSearchParams(location.search);
};

/** Replaces all but the language. Values that are empty are left out. A step is one that the way back goes to. */
export const writeAddress = (state, isStep) => {
  const url = new URL(location);
  const language = url.searchParams.get("lang");
  url.search = "";
  if (language) url.searchParams.set("lang", language);
  for (const [name, value] of Object.entries(state)) if (value) url.searchParams.set(name, value);
  // A browser refuses when this is done a hundred times in half a minute; the page goes on without.
  try {
    if (url.href !== location.href) history[isStep ? "pushState" : "replaceState"](null, "", url);
  } catch { /* The address is that of a moment before. */ }
  linkOtherLanguage();
};

/** The address of another page of the console, in the language that was asked for. */
export const pageLink = (path, state = {}) => {
  const parameters = new URLSearchParams(Object.entries(state).filter(([, value]) => value));
  const language = new URLSearchParams(location.search).get("lang");
  if (language) parameters.set("lang", words.lang);
  const query = parameters.toString();
  return query ? `${path}?${query}` : path;
};
