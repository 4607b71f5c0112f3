// Signs a link to wxqr. README.md beside this file has the rules.
//
//     LINK_KEY=... node sign.mjs scene_id=123 expire_seconds=3600 exp=1924963200
//
// prints what stands behind the question mark of the link.

import { createHmac } from "node:crypto";

// What a signature covers, in the order in which it is signed.
const COVERED = ["exp", "expire_seconds", "permanent", "scene_id", "scene_str"];

// Everything but A-Za-z0-9-._~ as %HH. encodeURIComponent leaves five more as they are.
const escape = (text) =>
  encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );

const encode = (pairs) =>
  pairs.map(([name, value]) => `${escape(name)}=${escape(value)}`).join("&");

/** The query string with its signature. `params` is an object of names and values. */
function sign(key, params) {
  const covered = COVERED.filter((name) => name in params).map((name) => [name, params[name]]);
  const canonical = `/qrcode\n${encode(covered)}`;
  const sig = createHmac("sha256", key).update(canonical).digest("base64url");
  return encode(Object.entries({ ...params, sig }));
}

const key = process.env.LINK_KEY;
if (!key) {
  console.error("LINK_KEY is not set");
  process.exit(1);
}
const given = process.argv.slice(2).map((arg) => {
  const at = arg.indexOf("=");
  return [arg.slice(0, at), arg.slice(at + 1)];
});
console.log(sign(key, Object.fromEntries(given)));
