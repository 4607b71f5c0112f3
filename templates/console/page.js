// What the pages of the console share: their elements, their texts, and how numbers are written.
// All texts are in the page, in its language.

export const at = (id) => document.getElementById(id);
export const words = at("words").dataset;
export const lang = document.documentElement.lang;

const digits = new Intl.NumberFormat(lang);
export const number = (value) => digits.format(value);

/** Fills values in. `{all:channel|channels}` is a number with the word for one, or for any other number. */
export const filled = (text, values) => text.replace(/\{(\w+)(?::([^|}]*)\|([^}]*))?\}/g, (_, name, one, many) => {
  const value = values[name];
  return one === undefined ? value : `${value} ${value === digits.format(1) ? one : many}`;
});

/** Leaves what is as it was alone, so that nothing is read out twice. */
export const setText = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};

export const mark = (field, isWrong) => isWrong ? field.setAttribute("aria-invalid", "true") : field.removeAttribute("aria-invalid");

/** A copy of what a `<template>` holds. */
export const copyOf = (template) => at(template).content.firstElementChild.cloneNode(true);

/** An element that has the class or attribute, within another. */
export const within = (element) => (name) => element.querySelector(`[data-part=${name}]`);

const longTime = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeZone: "UTC" });

/** The day of a moment where the service counts it. */
export const dayOf = (moment) => longTime.format(Date.parse(moment) + Number(words.offset) * 60_000);
