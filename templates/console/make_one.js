// Makes one channel: a name is enough, and its code is shown at once.
import { pageLink, readAddress } from "./address.js";
import { identity, sceneText, title } from "./channel.js";
import { loadGroups } from "./groups.js";
import { isPermanent, offerKinds, onKind } from "./kind_choice.js";
import { at, dayOf, filled, number, setText, words } from "./page.js";
import { ownLink, pictureOf } from "./picture.js";
import { planOne } from "./plan.js";
import { createReplyEditor } from "./reply.js";
import { json, link, send } from "./service.js";
import { can, fail, reveal, start } from "./session.js";
import { say } from "./trouble.js";

// Between the last letter typed and the question what it would make.
const PAUSE = 400;

const editor = createReplyEditor(at("make"), null);
let left = null;
let asked = 0;
let isMaking = false;

const SCENES = ["scene_str", "scene_id"];

const fields = () => ["label", "group", ...SCENES].map((id) => at(id).value.trim());

const exists = (row) => row?.status === "known" || row?.status === "changed";

/** Whether the code cannot be made because no permanent one is left. */
const isSoldOut = (row) => left === 0 && isPermanent() && !exists(row);

const costOf = (row) => {
  if (exists(row)) return words[row.status];
  if (!isPermanent()) return words.cost_temporary;
  if (isSoldOut(row)) return words.cost_none;
  return left === null ? words.cost_unknown : filled(words.cost_one, { left: number(left) });
};

const showPlan = (row) => {
  setText(at("cost"), costOf(row));
  at("submit").disabled = isMaking || isSoldOut(row);
  const problem = row?.status === "invalid" ? row.problem : null;
  const scene = row?.request && sceneText(row.request);
  setText(at("about_scene"), problem ?? (scene ? filled(words.scene, { scene }) : ""));
  at("about_scene").classList.toggle("problem", Boolean(problem));
};

/** What would be made of the fields; null if that was asked anew meanwhile. */
const plan = async () => {
  const version = ++asked;
  const [name, group, text, digits] = fields();
  if (!name) return showPlan(null);
  const { row, permanent_left } = await planOne(name, group, text, digits);
  if (version !== asked) return null;
  left = permanent_left ?? left;
  showPlan(row);
  return row;
};

const show = (code) => {
  at("nothing").hidden = true;
  at("shown").hidden = false;
  at("picture").src = pictureOf(code);
  at("picture").alt = title(code);
  setText(at("made_title"), title(code));
  setText(at("made_group"), code.group ?? "");
  setText(at("made_note"), code.permanent ? words.for_ever : filled(words.until, { day: dayOf(code.expires_at) }));
  at("made_note").classList.toggle("good", code.permanent);
  for (const format of ["png", "svg"]) {
    at(format).href = ownLink(`qrcode.${format}`, code.svg_url);
    at(format).download = `${title(code)}.${format}`;
  }
  at("print").href = pageLink(link("codes/print"), { channel: identity(code) });
  at("manage").href = pageLink(link("codes"), { channel: identity(code) });
  at("print").hidden = at("manage").hidden = !can("stats");
  at("made_title").focus();
};

const make = async () => {
  if (isMaking) return;
  [isMaking, at("submit").disabled] = [true, true];
  say(null);
  let row = null;
  try {
    row = await plan();
    if (row?.request && row.status !== "invalid") {
      const reply = editor.value();
      const code = await send("api/codes", { ...row.request, ...(reply && { reply }) });
      if (row.status === "new" && code.permanent && left !== null) left -= 1;
      show(code);
      for (const id of ["label", ...SCENES]) at(id).value = "";
      editor.fill(null);
      row = null;
    }
  } catch (trouble) {
    fail(trouble);
  }
  isMaking = false;
  showPlan(row);
};

const address = readAddress();
const proposed = SCENES.find((id) => address.get(id));
if (proposed) {
  at(proposed).value = at("label").value = address.get(proposed);
  at(proposed).closest("details").open = true;
}
let timer;
const planSoon = () => {
  clearTimeout(timer);
  timer = setTimeout(() => plan().catch(fail), PAUSE);
};

for (const [one, other] of [SCENES, [...SCENES].reverse()]) {
  at(one).addEventListener("input", () => { if (at(one).value) at(other).value = ""; });
}
for (const id of ["label", "group", ...SCENES]) at(id).addEventListener("input", planSoon);
onKind(planSoon);
at("make").addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(timer);
  make();
});
start({
  needs: ["mint", "permanent"],
  entered: async () => {
    offerKinds();
    showPlan(null);
    reveal("label");
    if (proposed) planSoon();
    if (!can("stats")) return;
    try {
      loadGroups(null, at("groups")).catch(fail);
      ({ left } = (await json("api/account")).permanent);
      showPlan(null);
    } catch (trouble) {
      fail(trouble);
    }
  },
});
