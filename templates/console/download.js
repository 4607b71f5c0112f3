// Downloads a file that only the key may read.
import { ask } from "./service.js";

const KEPT_FOR = 60_000;
// An archive of all channels, on a slow line.
const DEADLINE = 30 * 60_000;

const fileName = (disposition) => {
  const name = /filename\*=UTF-8''([^;]+)/.exec(disposition)?.[1];
  if (name) return decodeURIComponent(name);
  return /filename="([^"]+)"/.exec(disposition)?.[1];
};

export const save = (blob, name) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), KEPT_FOR);
};

/** `name` is for an answer that has none. */
export const download = async (path, parameters, name) => {
  const file = await ask(path, parameters, async (answer) => ({
    name: fileName(answer.headers.get("content-disposition") ?? "") ?? name,
    blob: await answer.blob(),
  }), DEADLINE);
  save(file.blob, file.name);
};
