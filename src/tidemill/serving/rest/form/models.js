// The list of models.

import { ask, find, loadPage, make } from "./common.js";

const TASKS = { binary: "yes or no", multiclass: "one of several", multilabel: "any of several", regression: "a number",
  quantile: "a number and its quantiles", anomaly: "strange or not", forecasting: "a number", ranking: "a rank" };

loadPage(async () => {
  const { models } = await ask("v1/models");
  find("models").replaceChildren(...models.map(card));
  if (!models.length) find("models").append(make("li", {}, "No model is served here."));
});

function card(model) {
  return make(
    "li", {},
    make("a", { href: `models/${encodeURIComponent(model.name)}` }, model.name),
    make("p", {}, `Predicts ${model.target}: ${TASKS[model.task] || model.task}.`),
    make("p", {}, `${model.title} · ${model.inputs.length} inputs`),
  );
}
