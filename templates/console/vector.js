// The picture of a code as vectors, cut to a quiet zone of four modules, which is what the standard
// asks for.
import { ownLink } from "./picture.js";
import { Trouble } from "./service.js";

const QUIET = 4;

/** The top left corner of the symbol is that of a finder pattern, which is seven modules wide. */
const geometry = (svg) => {
  const size = /viewBox="0 0 (\d+) /.exec(svg);
  const corner = /<path[^>]* d="M(\d+) \d+H(\d+)/.exec(svg);
  if (!size || !corner) throw new Trouble("failed");
  const [margin, end] = [Number(corner[1]), Number(corner[2])];
  const module = (end - margin) / 7;
  const modules = Math.round((Number(size[1]) - 2 * margin) / module);
  return { margin, module, modules };
};

const cut = (svg) => {
  const { margin, module, modules } = geometry(svg);
  const start = margin - QUIET * module;
  const side = (modules + 2 * QUIET) * module;
  const box = `viewBox="${start} ${start} ${side} ${side}"`;
  return { text: svg.replace(/viewBox="[^"]*"/, box), share: modules / (modules + 2 * QUIET) };
};

/** As an address for an image, and how much of its side is the code. */
export const vectorOf = async (item) => {
  const answer = await fetch(ownLink("qrcode.svg", item.svg_url)).catch(() => null);
  if (!answer?.ok) throw new Trouble(answer ? "failed" : "unreachable");
  const { text, share } = cut(await answer.text());
  return { src: `data:image/svg+xml,${encodeURIComponent(text)}`, share };
};
