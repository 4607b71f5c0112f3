// The channels to print, handed from a list to the sheet in this tab, by their identities and in
// their order.
const STORED = "wxqr.print";

export const keepForPrint = (identities) => {
  try { sessionStorage.setItem(STORED, JSON.stringify(identities)); } catch { /* The sheet says that it has none. */ }
};

export const keptForPrint = () => {
  try { return JSON.parse(sessionStorage.getItem(STORED)) ?? []; } catch { return []; }
};
