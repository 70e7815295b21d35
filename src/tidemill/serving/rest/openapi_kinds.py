"""What each kind of request takes and gives, for the OpenAPI document: bodies, answers, statuses beyond the usual."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tidemill.serving.limits import MAX_ROWS
from tidemill.serving.rest.batches import FORMATS
from tidemill.serving.rest.openapi_rows import NUMBER, Schema
from tidemill.serving.rest.route import Route

Content = Mapping[str, Mapping[str, Any]]

_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_OBJECT: Schema = {"type": "object"}
_ROWS = "A row that is none is answered with an error in its place; the request is refused when every row is."
_DATATYPES = [
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "FP16",
    "FP32",
    "FP64",
    "BYTES",
]


_ASIDE = (
    "Columns that are no input of the model, percent-encoded. They are left aside where no input is missing; else the "
    "file is refused, since one of them may be an input, misspelt. In NDJSON this holds row by row."
)
_COUNT: Schema = {"type": "integer"}
_OF_FILES: Mapping[str, Any] = {
    "tidemill-rows": {"schema": _COUNT},
    "tidemill-refused": {"schema": _COUNT},
    "tidemill-variant": {"schema": _TEXT},
    "tidemill-version": {"schema": _TEXT},
    "tidemill-left-aside": {"schema": _TEXT, "description": _ASIDE},
}


def _object(required: Mapping[str, Schema], **optional: Schema) -> Schema:
    return {"type": "object", "properties": {**required, **optional}, "required": list(required)}


def _list_of(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


#: What is told of a column that is wrong.
_WRONG: dict[str, Schema] = {"column": {"type": ["string", "null"]}, "value": _TEXT, "error": _TEXT}

#: Schemas that are the same for every model.
COMPONENTS: dict[str, Schema] = {
    "Error": _object({"error": _object({"type": _TEXT, "message": _TEXT})}),
    "ProtocolError": _object({"error": _TEXT}),
    "RefusedRow": _object(
        {
            "error": _object(
                {"row": {"type": "integer"}, **_WRONG},
                allowed=_TEXT,
                others=_list_of(_object(_WRONG, allowed=_TEXT)),
            )
        }
    ),
    "Explanation": {
        "anyOf": [
            _object(
                {
                    "base": NUMBER,
                    "scale": _TEXT,
                    "contributions": _list_of(_object({"column": _TEXT, "value": {}, "contribution": NUMBER})),
                },
                of=_TEXT,
            ),
            _object({"error": _TEXT}),
        ]
    },
    "Tensor": _object(
        {"name": _TEXT},
        datatype={"type": "string", "enum": _DATATYPES},
        shape=_list_of({"type": "integer", "minimum": 0}),
        data={"type": "array"},
        parameters=_OBJECT,
    ),
    "TensorType": _object({"name": _TEXT, "datatype": _TEXT, "shape": _list_of({"type": "integer"})}),
    "Model": _object(
        {"name": _TEXT, "title": _TEXT, "version": {"type": ["integer", "null"]}, "alias": {"type": ["string", "null"]}}
        | {"task": _TEXT, "target": _TEXT, "inputs": _list_of(_TEXT), "package": _TEXT}
    ),
}


@dataclass(frozen=True, slots=True)
class Kind:
    """What is sent and what comes back.

    Parameters
    ----------
    answer
        What comes with 200, by media type.
    body, body_required
        What is sent, by media type; empty for nothing.
    other_answers
        By status, what comes instead of an error.
    more_statuses
        What errors can come beyond those of every such route.
    parameters
        Headers and the like.
    headers
        What comes beside an answer.
    """

    answer: Content
    body: Content = field(default_factory=dict)
    body_required: bool = True
    other_answers: Mapping[int, Content] = field(default_factory=dict)
    more_statuses: Sequence[int] = ()
    parameters: Sequence[Mapping[str, Any]] = ()
    headers: Mapping[str, Any] = field(default_factory=dict)


def kind_of(route: Route, model: str) -> Kind:
    """What a route takes and gives, of the model whose schemas are called so."""
    path = route.path
    if path.endswith("/predict"):
        return _predict(model)
    if path.endswith("/batch"):
        return _batch()
    if path.endswith("/infer"):
        return _infer()
    if path == "/v2/repository/index":
        entry = _object({"name": _TEXT, "version": _TEXT, "state": _TEXT, "reason": _TEXT})
        return Kind(
            _json(_list_of(entry)), _json({"type": "object", "properties": {"ready": _FLAG}}), body_required=False
        )
    plain = {
        "/live": _json(_object({"live": _FLAG})),
        "/v2/health/live": _json(_object({"live": _FLAG})),
        "/metrics": {"text/plain": {"schema": _TEXT}},
        "/": {"text/html": {"schema": _TEXT}},
        "/models/{name}": {"text/html": {"schema": _TEXT}},
        "/v1/models": _json(_object({"models": _list_of(_ref("Model"))})),
        "/v1/models/{name}": _json({"allOf": [_ref("Model"), _object({"signature": _OBJECT, "policy": _OBJECT})]}),
        "/v1/models/{name}/example": _json(_rows_of(model)),
        "/v2": _json(_object({"name": _TEXT, "version": _TEXT, "extensions": _list_of(_TEXT)})),
    }
    if path in plain:
        return Kind(plain[path])
    if path in ("/ready", "/startup", "/v2/health/ready"):
        ready = _json(_object({"ready": _FLAG}))
        return Kind(ready, other_answers={503: ready})
    if path.startswith("/v2/models/"):
        is_ready = path.endswith("/ready")
        tensors = _list_of(_ref("TensorType"))
        about = {"ready": _FLAG} if is_ready else {"versions": _list_of(_TEXT), "platform": _TEXT} | {
            "inputs": tensors, "outputs": tensors
        }  # fmt: skip
        return Kind(_json(_object({"name": _TEXT} | about)))
    if path.startswith("/form/"):
        return Kind({media: {"schema": _TEXT} for media in ("text/css", "text/javascript", "image/svg+xml")})
    return Kind(_json({}))


def _predict(model: str) -> Kind:
    body = {
        **_rows_of(model),
        "properties": {
            "rows": _list_of(_ref(f"{model}.Row")) | {"minItems": 1, "maxItems": MAX_ROWS, "description": _ROWS},
            "entities": {
                "type": ["array", "null"],
                "items": {"type": ["string", "integer", "null"]},
                "description": "Whom the rows are about, one key for each.",
            },
            "key": {"type": ["string", "null"], "description": "What the choice of a variant sticks to."},
            "explain": {"type": "boolean", "description": "Whether to say what each input added."},
        },
    }
    answer = _object(
        {"model": _TEXT, "version": {"type": ["integer", "null"]}, "variant": _TEXT, "request_id": _TEXT}
        | {"predictions": _list_of(_ref(f"{model}.Prediction"))}
    )
    none = {**answer, "properties": {**answer["properties"], "error": COMPONENTS["Error"]["properties"]["error"]}}
    failed = _json({"anyOf": [none, _ref("Error")]})
    timeout = _header("X-Request-Timeout-Ms", {"type": "integer", "minimum": 1, "maximum": 86_400_000})
    parameters = (_header("X-Routing-Key"), _header("Traceparent"), timeout)
    return Kind(
        _json(answer),
        _json(body),
        other_answers={422: _json(none), 500: failed},
        more_statuses=(504,),
        parameters=parameters,
    )


def _batch() -> Kind:
    whom = "The column with the keys of those whom the rows are about, for the log: an input or another one."
    entity = {"name": "entity", "in": "query", "required": False, "schema": _TEXT, "description": whom}
    files: Content = {media: {"schema": {}} for media in FORMATS}
    failed = {**files, **_json(_ref("Error"))}
    return Kind(
        files,
        files,
        other_answers={422: files, 500: failed},
        more_statuses=(406, 415, 504),
        parameters=(entity,),
        headers=_OF_FILES,
    )


def _infer() -> Kind:
    body = _object(
        {"inputs": {"type": "array", "minItems": 1, "items": _ref("Tensor")}},
        id=_TEXT,
        parameters=_OBJECT,
        outputs=_list_of(_object({"name": _TEXT}, parameters=_OBJECT)),
    )
    answer = _object(
        {"model_name": _TEXT, "model_version": _TEXT, "id": _TEXT, "outputs": _list_of(_ref("Tensor"))},
        parameters=_OBJECT,
    )
    binary: Content = {"application/octet-stream": {"schema": {}}}
    length = _header("Inference-Header-Content-Length", {"type": "integer", "minimum": 0})
    return Kind({**_json(answer), **binary}, {**_json(body), **binary}, more_statuses=(504,), parameters=(length,))


def _rows_of(model: str) -> Schema:
    return _object({"rows": {"type": "array", "items": _ref(f"{model}.Row")}})


def _json(schema: Schema) -> Content:
    return {"application/json": {"schema": schema}}


def _header(name: str, schema: Schema = _TEXT) -> Mapping[str, Any]:
    return {"name": name, "in": "header", "required": False, "schema": schema}
