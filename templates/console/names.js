// Changes name, group, reply and archive of a channel.
import { sceneFields } from "./channel.js";
import { send } from "./service.js";
import { can } from "./session.js";

export const canChange = (item) => can(item.permanent ? "permanent" : "mint");

/** Sends the changes, and keeps what the service answers. An empty text or null clears. */
export const change = async (item, changes) => {
  const answer = await send("api/codes", { ...sceneFields(item), ...changes });
  for (const name of ["label", "group", "reply", "archived"]) {
    if (name in answer) item[name] = answer[name];
    else delete item[name];
  }
  return item;
};
