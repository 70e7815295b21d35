// What a model said, for people.

import { make } from "./common.js";

const DECISIONS = { act: "Act", decline: "Do not act", refer: "Let a person decide" };

/** The elements that show one prediction. */
export function answerOf(model, body) {
  const { target, threshold, task } = model.signature;
  const told = body.predictions[0];
  const parts = [make("p", { class: "big" }, shown(told[target]))];
  parts.push(make("p", { class: "sub" }, subtitle(target, told)));
  if (task === "binary" && typeof told.probability === "number") {
    parts.push(bar(told.probability, threshold, "large"), make("p", { class: "note" }, thresholds(model.signature)));
  } else if (told.probabilities && target !== "probabilities") {
    parts.push(make("h3", {}, "Probabilities"), probabilities(told.probabilities, task === "multilabel" ? threshold : null));
  }
  if (told.quantiles && target !== "quantiles") parts.push(make("h3", {}, "Quantiles"), table(told.quantiles));
  if (told.interval && target !== "interval") parts.push(make("p", { class: "note" }, interval(told.interval)));
  if (task === "anomaly") parts.push(make("p", { class: "note" }, `Score ${number(told.score)}; strange from ${number(threshold)}.`));
  if (told.explanation) parts.push(...explanation(told.explanation, task));
  return [...parts, origin(body)];
}

/** Who answered, and under which id that is in the prediction log. */
export function origin(body) {
  const version = body.version === null || body.version === undefined ? null : `version ${body.version}`;
  const known = [body.model, version, body.variant && `variant ${body.variant}`, `request ${body.request_id}`];
  return make("p", { class: "note" }, known.filter(Boolean).join(" · "));
}

function subtitle(target, told) {
  const said = [target];
  if (typeof told.probability === "number" && target !== "probability") said.push(`probability ${percent(told.probability)}`);
  if (target !== "decision" && DECISIONS[told.decision]) said.push(`decision: ${DECISIONS[told.decision].toLowerCase()}`);
  return said.join(" · ");
}

function thresholds({ threshold, referred, classes }) {
  const yes = /^(1|true)$/i.test(classes[1] || "true") ? "yes" : classes[1];
  const from = `The mark is the threshold: from ${percent(threshold)} on the answer is ${yes}.`;
  return referred ? `${from} Between ${percent(referred[0])} and ${percent(referred[1])} a person decides.` : from;
}

function bar(share, mark = null, name = "") {
  const label = mark === null ? percent(share) : `${percent(share)}, threshold ${percent(mark)}`;
  const fill = make("i"), element = make("div", { class: `bar ${name}`, role: "img", "aria-label": label }, fill);
  fill.style.width = `${Math.min(Math.max(share, 0), 1) * 100}%`;
  if (mark !== null && mark >= 0 && mark <= 1) {
    const line = make("b");
    line.style.left = `${mark * 100}%`;
    element.append(line);
  }
  return element;
}

function probabilities(shares, mark) {
  const sorted = Object.entries(shares).sort((one, other) => other[1] - one[1]);
  const rows = sorted.flatMap(([name, share]) => [
    make("dt", {}, name), make("dd", {}, bar(share, mark)), make("dd", { class: "n" }, percent(share)),
  ]);
  return make("dl", { class: "rows" }, ...rows);
}

function table(values) {
  const rows = Object.entries(values).map(([name, value]) =>
    make("tr", {}, make("th", { scope: "row" }, percent(Number(name))), make("td", {}, number(value))));
  return make("table", {}, make("tbody", {}, ...rows));
}

function interval({ low, high, covers }) {
  return `In ${percent(covers)} of cases the value lies between ${number(low)} and ${number(high)}.`;
}

function explanation(told, task) {
  const title = make("h3", {}, told.of === undefined ? "What each input added" : `What each input added to ${task === "quantile" ? `the quantile ${percent(Number(told.of))}` : told.of}`);
  if (told.error) return [title, make("p", { class: "note" }, told.error)];
  const contributions = Array.isArray(told) ? told : told.contributions || [];
  const most = Math.max(...contributions.map((one) => Math.abs(one.contribution)), 1e-12);
  const rows = contributions.flatMap(({ column, value, contribution }) => {
    const fill = make("i", { class: contribution < 0 ? "less" : "more" });
    fill.style.width = `${(Math.abs(contribution) / most) * 50}%`;
    const label = `${column} ${contribution < 0 ? "lowered" : "raised"} it by ${number(Math.abs(contribution))}`;
    return [
      make("dt", {}, `${column} = ${typeof value === "number" ? plain(value) : typeof value === "boolean" ? value : shown(value)}`),
      make("dd", {}, make("div", { class: "bar", role: "img", "aria-label": label }, fill)),
      make("dd", { class: "n" }, `${contribution < 0 ? "−" : "+"}${number(Math.abs(contribution), 3)}`),
    ];
  });
  const from = told.base === undefined ? null
    : make("p", { class: "note" }, `Every answer starts at ${number(told.base)}${told.scale ? ` (${told.scale})` : ""}.`);
  return [title, make("dl", { class: "rows" }, ...rows), from].filter(Boolean);
}

function shown(value) {
  if (value === true) return "Yes";
  if (value === false) return "No";
  if (value === null || value === undefined) return "missing";
  if (Array.isArray(value)) return value.length ? value.join(", ") : "none";
  return typeof value === "number" ? number(value) : String(value);
}

/** A number as it was asked about: it may be a year. */
function plain(value) {
  return value.toLocaleString("en", { maximumSignificantDigits: 6, useGrouping: false });
}

function number(value, digits = 6) {
  return typeof value === "number" ? value.toLocaleString("en", { maximumSignificantDigits: digits }) : String(value);
}

function percent(share) {
  return `${(share * 100).toLocaleString("en", { maximumFractionDigits: 1 })} %`;
}
