// How labels lie on A4: all lengths in millimetres.

const PAPER = { width: 190, height: 276 };
const PADDING = 2;
// Under a code: its name in two lines at least.
const CAPTION = 0.2;
const LEAST_CAPTION = 9;
const FULL_CAPTION = 24;

const GRIDS = { "1": [1, 1], "2x3": [2, 3], "3x4": [3, 4], "4x6": [4, 6] };
export const SIZES = { least: 15, most: 150 };

const captionOf = (height) => Math.min(FULL_CAPTION, Math.max(LEAST_CAPTION, height * CAPTION));

/** `share` is how much of a picture's side is the code; the rest is its quiet zone. */
const gridLayout = ([columns, rows], share) => {
  const cell = { width: PAPER.width / columns, height: PAPER.height / rows };
  const caption = captionOf(cell.height);
  const picture = Math.min(cell.width - 2 * PADDING, cell.height - 2 * PADDING - caption);
  return { columns, rows, cell, caption, code: picture * share };
};

const sizeLayout = (code, share, least) => {
  const picture = code / share;
  const caption = Math.max(captionOf(picture), least);
  const width = Math.min(picture + 2 * PADDING, PAPER.width);
  const cell = { width, height: picture + 2 * PADDING + caption };
  const fit = (all, one) => Math.max(1, Math.floor(all / one + 1e-6));
  return { columns: fit(PAPER.width, cell.width), rows: fit(PAPER.height, cell.height), cell, caption, code };
};

/** The layout by its name. Where it goes by size, `mm` is the side of the code, and captions may need more room than usual. */
export const layoutOf = (name, mm, share, caption) => GRIDS[name] ? gridLayout(GRIDS[name], share) : sizeLayout(mm, share, caption);
