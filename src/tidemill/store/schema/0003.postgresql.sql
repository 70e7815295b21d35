ALTER TABLE models ADD COLUMN owner TEXT COLLATE "C" DEFAULT '' NOT NULL;
ALTER TABLE models ADD COLUMN description TEXT COLLATE "C" DEFAULT '' NOT NULL;
ALTER TABLE models ADD COLUMN tags TEXT COLLATE "C" DEFAULT '{}' NOT NULL;
ALTER TABLE model_versions ADD COLUMN owner TEXT COLLATE "C" DEFAULT '' NOT NULL;
ALTER TABLE model_versions ADD COLUMN registered_by TEXT COLLATE "C" DEFAULT '' NOT NULL;

CREATE INDEX models_by_owner ON models (owner, name);

CREATE INDEX model_versions_by_owner ON model_versions (owner, created_at, id);

CREATE INDEX model_versions_by_stage ON model_versions (stage, created_at, id);

UPDATE model_versions SET registered_by = coalesce((
    SELECT actor FROM audit
    WHERE action = 'model.register' AND subject = 'model:' || model_versions.model || '@' || model_versions.version
    ORDER BY at, id LIMIT 1), '');

UPDATE model_versions SET stage = 'archived' WHERE archived = 1;

CREATE TABLE registry_tags (
    model TEXT COLLATE "C" NOT NULL,
    version INTEGER NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (model, version, name),
    FOREIGN KEY(model) REFERENCES models (name)
);

CREATE INDEX registry_tags_by_name ON registry_tags (name, model, version);

INSERT INTO registry_tags (model, version, name, value)
    SELECT model_versions.model, model_versions.version, tag."key", tag.value
    FROM model_versions, json_each_text(CAST(model_versions.tags AS JSON)) AS tag WHERE tag.value IS NOT NULL;

CREATE TABLE approvals (
    id TEXT COLLATE "C" NOT NULL,
    version_id TEXT COLLATE "C" NOT NULL,
    alias TEXT COLLATE "C" DEFAULT '' NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    note TEXT COLLATE "C" DEFAULT '' NOT NULL,
    evidence TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(version_id) REFERENCES model_versions (id)
);

CREATE INDEX approvals_by_version ON approvals (version_id, at, id);

CREATE TABLE webhook_deliveries (
    id TEXT COLLATE "C" NOT NULL,
    webhook TEXT COLLATE "C" NOT NULL,
    event_id TEXT COLLATE "C" NOT NULL,
    event TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    payload TEXT COLLATE "C" DEFAULT '{}' NOT NULL,
    status TEXT COLLATE "C" DEFAULT 'waiting' NOT NULL,
    attempts BIGINT DEFAULT 0 NOT NULL,
    next_at BIGINT NOT NULL,
    error TEXT COLLATE "C" DEFAULT '' NOT NULL,
    delivered_at BIGINT,
    PRIMARY KEY (id)
);

CREATE UNIQUE INDEX webhook_deliveries_by_event ON webhook_deliveries (event_id, webhook);

CREATE INDEX webhook_deliveries_by_status ON webhook_deliveries (status, at, id);

CREATE INDEX webhook_deliveries_by_time ON webhook_deliveries (at, id);

CREATE INDEX webhook_deliveries_by_webhook ON webhook_deliveries (webhook, at, id);

CREATE INDEX webhook_deliveries_due ON webhook_deliveries (next_at, id) WHERE status = 'waiting';
