// Signing in. The key is typed once, stays in this tab, is sent in a header, and is in no address.
import { at, mark, words } from "./page.js";
import { json, Trouble, useKey } from "./service.js";
import { say } from "./trouble.js";

const STORED_KEY = "wxqr.key";
// Between two tries with a key that was typed before, while the service does not answer.
const PAUSE = 5000;

const storage = {
  get: () => { try { return sessionStorage.getItem(STORED_KEY); } catch { return null; } },
  set: (value) => { try { sessionStorage.setItem(STORED_KEY, value); } catch { /* Then it is kept until the page is left. */ } },
  clear: () => { try { sessionStorage.removeItem(STORED_KEY); } catch { /* Nothing was kept. */ } },
};

let scopes = [];
let wasTyped = false;
let page = { needs: [], entered: () => {}, left: () => {} };

export const can = (scope) => scopes.includes(scope) || scopes.includes("admin");

const isRefusal = (code) => code === "unauthorized" || code === "scope_missing";

/** Hides what the key may not do. */
export const offer = (root) => {
  for (const element of root.querySelectorAll("[data-needs]")) {
    element.hidden = !element.dataset.needs.split(" ").some(can);
  }
};

const show = (isIn) => {
  at("entry").hidden = isIn;
  at("board").hidden = !isIn;
  at("leave").hidden = !isIn;
};

/** Shows the page in place of the form, once it has something to show. Returns whether it did. */
export const reveal = (heading) => {
  if (!at("board").hidden) return false;
  show(true);
  at("key").value = "";
  mark(at("key"), false);
  if (wasTyped) at(heading).focus();
  return true;
};

/** Ends the session, with the reason if it is not the reader's wish. */
export const leave = (code) => {
  useKey(null);
  // A key that serves other pages is still theirs.
  if (code !== "scope_missing" || scopes.length === 0) storage.clear();
  page.left(code);
  show(false);
  at("key").value = code ? "" : words.key ?? "";
  mark(at("key"), Boolean(code));
  at("key").focus();
  say(code && new Trouble(code));
};

/** Shows what went wrong; a key that is no longer valid ends the session. */
export const fail = (trouble) => isRefusal(trouble.code) ? leave(trouble.code) : say(trouble);

const enter = async (secret, isTyped) => {
  // What no header can carry is no key.
  if (!/^[\x21-\x7e]+$/.test(secret)) return leave("unauthorized");
  useKey(secret);
  try {
    ({ scopes } = await json("api/me"));
  } catch (trouble) {
    if (!isRefusal(trouble.code) && !isTyped) setTimeout(() => enter(secret, false), PAUSE);
    return fail(trouble);
  }
  if (!page.needs.some(can)) {
    if (isTyped) scopes = [];
    return leave("scope_missing");
  }
  wasTyped = isTyped;
  storage.set(secret);
  say(null);
  offer(document);
  page.entered();
};

/**
 * Starts the page's session. It needs a key with one of the scopes. `entered` is called when there is one, and has to `reveal` the
 * page; `left` is called with the reason.
 */
export const start = (callbacks) => {
  page = { ...page, ...callbacks };
  at("entry").addEventListener("submit", (event) => {
    event.preventDefault();
    enter(at("key").value.trim(), true);
  });
  at("leave").addEventListener("click", () => leave());
  const stored = storage.get() ?? words.key;
  if (!stored) return;
  at("entry").hidden = true;
  enter(stored, false);
};
