// What both pages need: elements whose text is text, requests with the user's key, and the question for that key.

const KEY = "tidemill-key";

/** The address of the server, whatever path it lies under. */
export const base = new URL("..", import.meta.url);

export const find = (id) => document.getElementById(id);

/** An element with attributes and children; a string becomes text, never markup. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export class Refused extends Error {
  constructor(status, body) {
    super(messageOf(body) || `The server answered ${status}.`);
    this.status = status;
    this.body = body;
  }
}

/** The JSON that the server answers with; an answer of an error is thrown. */
export async function ask(path, options = {}) {
  const key = keyNow();
  const headers = { ...(options.headers || {}), ...(key ? { "X-API-Key": key } : {}) };
  let response, body;
  try {
    response = await fetch(new URL(path, base), { ...options, headers });
  } catch {
    throw new Error("The server does not answer. Is it still running?");
  }
  try {
    body = await response.json();
  } catch {
    throw new Error(`The server answered ${response.status} with something that is no JSON.`);
  }
  if (!response.ok) throw new Refused(response.status, body);
  return body;
}

/** Run what loads the page; where the server asks for a key, ask the user, and run it again. */
export async function loadPage(load) {
  find("trouble").hidden = true;
  try {
    await load();
    find("locked").hidden = true;
  } catch (error) {
    if (error.status === 401 || error.status === 403) askForKey(error, load);
    else say(error);
  }
}

/** Show what went wrong at the top of the page. */
export function say(error) {
  find("trouble").textContent = error.message;
  find("trouble").hidden = false;
}

export function keyNow() {
  try {
    return sessionStorage.getItem(KEY) || "";
  } catch {
    return ""; // the browser keeps nothing
  }
}

function askForKey(error, load) {
  const place = find("locked");
  const input = make("input", { id: "key", type: "password", autocomplete: "off", required: true, "aria-describedby": "key-hint" });
  const form = make(
    "form", { class: "key" },
    make("h2", { id: "locked-title" }, "This server asks for a key"),
    make("p", { class: "field" }, make("label", { for: "key" }, "API key"), input),
    make("p", { class: "note", id: "key-hint" }, error.status === 403 ? error.message : "It is kept until this tab is closed."),
    make("p", { class: "buttons" }, make("button", { type: "submit" }, "Continue")),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem(KEY, input.value.trim());
    loadPage(load);
  });
  place.replaceChildren(form);
  place.hidden = false;
  input.focus();
}

function messageOf(body) {
  const error = body && body.error;
  return typeof error === "string" ? error : error && error.message;
}
