// The fields of a row, from the columns of a signature.

import { make } from "./common.js";

const FEW = 24; // so many categories are a menu, more are a field that suggests

/** A field of a column: its element, what it holds as JSON, and how to set it. */
export function fieldOf(column, place, policy) {
  const id = `field-${place}`;
  const kind = kindOf(column);
  const input = inputOf(column, kind, id);
  const notes = make("div", { id: `${id}-notes` });
  const hint = make("p", { class: "hint", id: `${id}-hint` }, hintOf(column, kind, policy));
  const unit = column.unit ? make("span", { class: "unit" }, ` (${column.unit})`) : null;
  input.setAttribute("aria-describedby", `${id}-hint ${id}-notes`);
  if (!column.nullable) input.setAttribute("aria-required", "true");
  const list = kind === "suggested" ? make("datalist", { id: `${id}-list` }, ...optionsOf(column.categories)) : null;
  const element = make("div", { class: "field" }, make("label", { for: id }, column.name, unit), input, list, hint, notes);
  return {
    name: column.name, input, element,
    get json() { return literalOf(input, kind, column); },
    set value(value) { setValue(input, kind, value); },
    get wrong() { return input.validity && input.validity.badInput ? `${column.name} takes ${takes(kind)}` : ""; },
    clear() { notes.replaceChildren(); input.removeAttribute("aria-invalid"); },
    note(text, name) {
      notes.append(make("p", { class: name }, text));
      if (name === "error") input.setAttribute("aria-invalid", "true");
    },
  };
}

function kindOf(column) {
  const type = column.type;
  if (column.categories && column.categories.length) return column.categories.length <= FEW ? "menu" : "suggested";
  if (type === "bool") return "flag";
  if (column.semantic === "category" || type === "string" || type.startsWith("categorical") || type.startsWith("enum[")) return "text";
  if (type === "date") return "date";
  if (type.startsWith("timestamp[")) return type.includes("UTC") || type.includes(",") ? "moment-utc" : "moment";
  if (/^u?int/.test(type)) return "whole";
  if (/^(float|decimal|duration)/.test(type)) return "number";
  return "json";
}

function inputOf(column, kind, id) {
  const empty = column.nullable ? "empty: missing" : null;
  if (kind === "menu" || kind === "flag") {
    const values = kind === "flag" ? ["true", "false"] : column.categories;
    const none = make("option", { value: "" }, column.nullable ? "— missing —" : "— choose —");
    return make("select", { id }, none, ...optionsOf(values));
  }
  if (kind === "whole") return make("input", { id, type: "number", step: "1", inputmode: "numeric", placeholder: empty });
  if (kind === "number") return make("input", { id, type: "number", step: "any", inputmode: "decimal", placeholder: empty });
  if (kind === "date") return make("input", { id, type: "date" });
  if (kind.startsWith("moment")) return make("input", { id, type: "datetime-local", step: "1" });
  const list = kind === "suggested" ? `${id}-list` : null;
  return make("input", { id, type: "text", autocomplete: "off", spellcheck: "false", list, placeholder: empty });
}

/** Options whose values are marked, so that an empty category is not the empty field. */
function optionsOf(values) {
  return values.map((value) => make("option", { value: value === "" ? "\u200b" : value }, value === "" ? "(empty text)" : value));
}

function hintOf(column, kind, policy) {
  const said = [];
  if (column.description) said.push(column.description.replace(/\.?$/, "."));
  const outside = { reject: "is refused", warn: "is answered with a warning", ignore: "is answered" };
  const low = column.minimum, high = column.maximum, numeric = kind === "whole" || kind === "number";
  if (numeric) {
    const what = kind === "whole" ? "A whole number" : column.type.startsWith("duration") ? "Seconds" : "A number";
    const range = low !== undefined && high !== undefined ? ` from ${short(low)} to ${short(high)}`
      : low !== undefined ? ` from ${short(low)}` : high !== undefined ? ` up to ${short(high)}` : "";
    said.push(range ? `${what}${range}; another ${outside[policy.out_of_range]}.` : `${what}.`);
  }
  if (kind === "suggested") said.push(`One of ${column.categories.length}; another ${outside[policy.unseen_category]}.`);
  if (kind === "moment-utc") said.push("In UTC.");
  if (kind === "json") said.push(`As JSON: ${column.type}.`);
  said.push(column.nullable ? "May be left empty." : "Required.");
  return said.join(" ");
}

/** A bound in six digits: the server's messages say it so, too. */
function short(bound) {
  return Number.isInteger(bound) ? String(bound) : String(Number(bound.toPrecision(6)));
}

function takes(kind) {
  return { whole: "a whole number", number: "a number", date: "a date" }[kind] || "a date and a time";
}

/** The value as JSON: digits as they were typed, since a large whole number is more than JavaScript can hold. */
function literalOf(input, kind, column) {
  const text = input.value;
  if (text === "" && (column.nullable || kind !== "text")) return "null";
  if (kind === "flag") return text;
  if (kind === "whole" || kind === "number") return /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(text) ? text : String(Number(text));
  if (kind === "moment-utc") return JSON.stringify(`${text}Z`);
  if (kind === "json") return isJson(text) ? text : JSON.stringify(text);
  return JSON.stringify(text === "\u200b" ? "" : text);
}

function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function setValue(input, kind, value) {
  if (value === null || value === undefined) input.value = "";
  else if (kind === "moment-utc") setMoment(input, utcOf(String(value)));
  else if (kind === "moment") setMoment(input, String(value).replace(" ", "T").slice(0, 23));
  else if (kind === "date") input.value = String(value).slice(0, 10);
  else if (kind === "menu") choose(input, String(value));
  else if (kind === "json" && typeof value !== "string") input.value = JSON.stringify(value);
  else input.value = String(value);
}

/** A moment, with thousandths of a second only where it has some. */
function setMoment(input, text) {
  input.step = /\.0*[1-9]/.test(text) ? "0.001" : "1";
  input.value = text.replace(/\.0+$/, "");
}

function utcOf(text) {
  const moment = new Date(/(Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}Z`);
  return isNaN(moment) ? "" : moment.toISOString().slice(0, 23);
}

function choose(menu, value) {
  const wanted = value === "" ? "\u200b" : value;
  if (![...menu.options].some((option) => option.value === wanted)) menu.append(...optionsOf([value]));
  menu.value = wanted;
}
