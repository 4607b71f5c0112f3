// The channels to print, handed from the list to the sheet in this tab.
const STORED = "wxqr.print";

export const keepForPrint = (items) => {
  try { sessionStorage.setItem(STORED, JSON.stringify(items)); } catch { /* The sheet says that it has none. */ }
};

export const keptForPrint = () => {
  try { return JSON.parse(sessionStorage.getItem(STORED)) ?? []; } catch { return []; }
};
