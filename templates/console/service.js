// Calls the service with the key of the session.

const DEADLINE = 20_000;
// For what is made first: a code, or a file.
const LONG_DEADLINE = 120_000;

/** The service's address, whatever page this is on. */
const ROOT = new URL("..", import.meta.url);
export const link = (path) => new URL(path, ROOT).href;

let key = null;
// How far the service's clock is ahead of this machine's: days are the service's.
let ahead = 0;

export const useKey = (secret) => { key = secret; };
export const serviceNow = () => Date.now() + ahead;

/** Why a call failed: the service's name for it, its words, and after how many seconds it may be sent again. */
export class Trouble extends Error {
  constructor(code, { detail, parameter, retryAfter } = {}) {
    super(code);
    Object.assign(this, { code, detail, parameter, retryAfter });
  }
}

const troubleOf = async (answer) => {
  const problem = await answer.json().catch(() => ({}));
  const retryAfter = Number(answer.headers.get("retry-after")) || undefined;
  return new Trouble(problem.code ?? "failed", { ...problem, retryAfter });
};

const call = async (path, options, read) => {
  // The session has ended meanwhile.
  if (key === null) throw new Trouble("unauthorized");
  try {
    const answer = await fetch(link(path), {
      ...options,
      headers: { Authorization: `Bearer ${key}`, ...options.headers },
      cache: "no-store",
    });
    const date = Date.parse(answer.headers.get("date"));
    if (date) ahead = date - Date.now();
    if (answer.ok) return await read(answer);
    throw await troubleOf(answer);
  } catch (error) {
    throw error instanceof Trouble ? error : new Trouble("unreachable");
  }
};

const query = (parameters) => {
  const text = new URLSearchParams(parameters).toString();
  return text && `?${text}`;
};

/** Reads from the service. `parameters` may be pairs, where a name comes more than once. */
export const ask = (path, parameters, read, deadline = LONG_DEADLINE) =>
  call(`${path}${query(parameters)}`, { signal: AbortSignal.timeout?.(deadline) }, read);

export const json = (path, parameters = {}) => ask(path, parameters, (answer) => answer.json(), DEADLINE);

/** Sends a body, and reads the JSON of the answer. */
export const send = (path, body, type = "application/json") => call(path, {
  method: "POST",
  body: type === "application/json" ? JSON.stringify(body) : body,
  headers: { "Content-Type": type },
  signal: AbortSignal.timeout?.(LONG_DEADLINE),
}, (answer) => answer.json());
