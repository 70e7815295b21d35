// The form of one model.

import { answerOf, origin } from "./answer.js";
import { ask, base, find, keyNow, loadPage, make } from "./common.js";
import { fieldOf } from "./fields.js";

const POLICY = { out_of_range: "warn", unseen_category: "warn" };
const name = decodeURIComponent(location.pathname.replace(/\/$/, "").split("/").pop());
const path = `v1/models/${encodeURIComponent(name)}`;
let model, example, fields = [];

loadPage(async () => {
  [model, example] = await Promise.all([ask(path), ask(`${path}/example`)]);
  const { signature, title } = model;
  document.title = `${model.name} · predict`;
  find("title").textContent = model.name;
  find("about").textContent = `Predicts ${signature.target} · ${title}`;
  fields = signature.inputs.columns.map((column, place) =>
    fieldOf({ nullable: true, ...column }, place, { ...POLICY, ...model.policy }));
  find("fields").replaceChildren(...fields.map((field) => field.element));
  fill();
  find("desk").hidden = false;
});

find("form").addEventListener("submit", (event) => {
  event.preventDefault();
  predict();
});
find("form").addEventListener("input", showCurl);
find("again").addEventListener("click", () => {
  fill();
  if (fields.length) fields[0].input.focus();
});
find("copy").addEventListener("click", copy);

function fill() {
  const row = example.rows[0];
  for (const field of fields) {
    field.value = row[field.name];
    field.clear();
  }
  showCurl();
}

function bodyNow() {
  const row = fields.map((field) => `${JSON.stringify(field.name)}: ${field.json}`).join(", ");
  return `{"rows": [{${row}}]${find("explain").checked ? ', "explain": true' : ""}}`;
}

async function predict() {
  const button = find("predict");
  if (button.getAttribute("aria-busy") === "true") return;
  for (const field of fields) field.clear();
  const wrong = fields.filter((field) => field.wrong);
  for (const field of wrong) field.note(field.wrong, "error");
  if (wrong.length) {
    wrong[0].input.focus();
    return show(make("p", { class: "alert" }, "Not asked: a field cannot be read."));
  }
  button.setAttribute("aria-busy", "true");
  try {
    const options = { method: "POST", body: bodyNow(), headers: { "Content-Type": "application/json" } };
    const body = await ask(`${path}/predict`, options);
    show(...answerOf(model, body));
    for (const warning of body.predictions[0].warnings || []) warn(warning);
    find("answer").parentElement.scrollIntoView({ block: "nearest" }); // on a phone it lies below the form
  } catch (error) {
    refuse(error);
  } finally {
    button.removeAttribute("aria-busy");
  }
}

function show(...elements) {
  find("answer").replaceChildren(...elements);
}

/** A warning, at the field that it is about. */
function warn(text) {
  const field = fields.find((one) => text.includes(`column '${one.name}'`) || text.includes(`column "${one.name}"`));
  if (field) field.note(text, "warning");
  find("answer").append(make("p", { class: "caution" }, text));
}

/** An answer that is an error: said at the fields that it is about, the first of which gets the focus. */
function refuse(error) {
  const told = error.body && error.body.predictions && error.body.predictions[0].error;
  const wrong = told ? [told, ...(told.others || [])] : [];
  const text = (one) => `${one.error}${one.allowed ? `. Allowed: ${one.allowed}` : ""}`;
  const alerts = told ? wrong.map(text) : [error.message];
  show(...alerts.map((one) => make("p", { class: "alert" }, one)), ...(told ? [origin(error.body)] : []));
  const named = wrong.map((one) => fields.find((field) => field.name === one.column));
  named.forEach((field, place) => field && field.note(text(wrong[place]), "error"));
  const first = named.find((field) => field);
  if (first) first.input.focus();
}

/** The request as a line for a shell: the user's key is not in it. */
function showCurl() {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const key = keyNow() ? ' \\\n  -H "X-API-Key: $TIDEMILL_KEY"' : "";
  const url = new URL(`${path}/predict`, base).href;
  find("curl").textContent = `curl ${quoted(url)} \\\n  -H 'Content-Type: application/json'${key} \\\n  -d ${quoted(bodyNow())}`;
}

async function copy() {
  let done = false;
  try {
    await navigator.clipboard.writeText(find("curl").textContent);
    done = true;
  } catch { // without TLS browsers give no clipboard to a page of another machine
    getSelection().selectAllChildren(find("curl"));
    done = document.execCommand("copy");
  }
  find("copied").textContent = done ? "Copied." : "Selected: copy it with the keyboard.";
}
