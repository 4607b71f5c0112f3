// How a channel is named and told from others: a permanent and a temporary code of one scene are
// two.
import { words } from "./page.js";

const KINDS = ["permanent", "temporary", "unattributed"];

// The service is asked by scenes of ours; what came with an unknown ticket may be none.
const CAN_BE_ASKED = /^id:|^str:(?!wxqr\.)[^\p{Cc}]{1,64}$/u;

export const kind = (row) => row.attributed === false ? "unattributed" : row.permanent ? "permanent" : "temporary";
export const scene = (row) => "scene_id" in row ? `id:${row.scene_id}` : `str:${row.scene_str}`;
export const sceneText = (row) => "scene_id" in row ? String(row.scene_id) : row.scene_str;
export const identity = (row) => `${kind(row)}:${scene(row)}`;
export const title = (row) => row.label ?? (sceneText(row) || words.no_scene);
export const canBeAsked = (row) => CAN_BE_ASKED.test(scene(row));

/** Reads an identity from an address; none if it is not one. */
export const parsed = (text) => {
  const [kind, scene] = (text ?? "").split(/:(.*)/s);
  if (!KINDS.includes(kind) || !CAN_BE_ASKED.test(scene ?? "")) return null;
  return { identity: text, scene, title: scene.slice(scene.indexOf(":") + 1) };
};

/** The fields with which `POST /api/codes` changes the names of a code, and leaves the code itself. */
export const sceneFields = (row) => ({
  ...("scene_id" in row ? { scene_id: row.scene_id } : { scene_str: row.scene_str }),
  permanent: row.permanent,
  renew: false,
});
