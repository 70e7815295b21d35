CREATE TABLE artifacts (
    id TEXT NOT NULL,
    digest TEXT NOT NULL,
    type TEXT NOT NULL,
    materialiser TEXT NOT NULL,
    size BIGINT DEFAULT 0 NOT NULL,
    created_at BIGINT NOT NULL,
    inline TEXT,
    blob TEXT,
    metadata TEXT DEFAULT '{}' NOT NULL,
    PRIMARY KEY (id)
);

CREATE INDEX artifacts_by_blob ON artifacts (blob) WHERE blob IS NOT NULL;

CREATE INDEX artifacts_by_digest ON artifacts (digest, created_at, id);

CREATE TABLE audit (
    id TEXT NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    details TEXT DEFAULT '{}' NOT NULL,
    PRIMARY KEY (id)
);

CREATE INDEX audit_by_action ON audit (action, at, id);

CREATE INDEX audit_by_actor ON audit (actor, at, id);

CREATE INDEX audit_by_subject ON audit (subject, at, id);

CREATE INDEX audit_by_time ON audit (at, id);

CREATE TABLE contexts (
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    parent_id TEXT,
    attributes TEXT DEFAULT '{}' NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(parent_id) REFERENCES contexts (id) DEFERRABLE INITIALLY IMMEDIATE
);

CREATE UNIQUE INDEX contexts_by_name ON contexts (kind, name, coalesce(parent_id, ''));

CREATE INDEX contexts_by_parent ON contexts (parent_id);

CREATE TABLE fingerprints (
    digest TEXT NOT NULL,
    parts TEXT DEFAULT '{}' NOT NULL,
    PRIMARY KEY (digest)
);

CREATE TABLE leases (
    resource TEXT NOT NULL,
    owner TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    expires_at DOUBLE NOT NULL,
    PRIMARY KEY (resource)
);

CREATE INDEX leases_by_expiry ON leases (expires_at, resource) WHERE owner <> '';

CREATE TABLE models (
    name TEXT NOT NULL,
    last_version INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (name)
);

CREATE TABLE runs (
    id TEXT NOT NULL,
    project TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    status TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    parent_id TEXT,
    resumed_from TEXT,
    user_name TEXT DEFAULT '' NOT NULL,
    host TEXT DEFAULT '' NOT NULL,
    commit_id TEXT DEFAULT '' NOT NULL,
    arguments TEXT DEFAULT '{}' NOT NULL,
    environment TEXT DEFAULT '{}' NOT NULL,
    error TEXT,
    PRIMARY KEY (id),
    FOREIGN KEY(parent_id) REFERENCES runs (id) DEFERRABLE INITIALLY IMMEDIATE,
    FOREIGN KEY(resumed_from) REFERENCES runs (id) DEFERRABLE INITIALLY IMMEDIATE
);

CREATE INDEX runs_by_parent ON runs (parent_id, started_at, id);

CREATE INDEX runs_by_pipeline ON runs (pipeline, started_at, id);

CREATE INDEX runs_by_project ON runs (project, started_at, id);

CREATE INDEX runs_by_resumed ON runs (resumed_from);

CREATE INDEX runs_by_status ON runs (status, started_at, id);

CREATE INDEX runs_by_time ON runs (started_at, id);

CREATE TABLE schema_versions (
    number INTEGER NOT NULL,
    title TEXT NOT NULL,
    applied_at BIGINT NOT NULL,
    PRIMARY KEY (number)
);

CREATE TABLE executions (
    id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    step TEXT NOT NULL,
    node TEXT NOT NULL,
    status TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    attempt INTEGER DEFAULT 1 NOT NULL,
    "key" TEXT DEFAULT '' NOT NULL,
    code TEXT DEFAULT '' NOT NULL,
    key_parts TEXT DEFAULT '{}' NOT NULL,
    cached_from TEXT,
    executor TEXT DEFAULT 'inline' NOT NULL,
    error TEXT,
    log_text TEXT DEFAULT '' NOT NULL,
    log TEXT,
    seconds DOUBLE DEFAULT 0 NOT NULL,
    cpu_seconds DOUBLE DEFAULT 0 NOT NULL,
    max_rss BIGINT DEFAULT 0 NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(run_id) REFERENCES runs (id)
);

CREATE INDEX executions_by_key ON executions ("key", ended_at, id) WHERE status = 'succeeded';

CREATE INDEX executions_by_log ON executions (log) WHERE log IS NOT NULL;

CREATE INDEX executions_by_node ON executions (node, started_at, id);

CREATE INDEX executions_by_run ON executions (run_id, started_at, id);

CREATE TABLE last_metrics (
    run_id TEXT NOT NULL,
    name TEXT NOT NULL,
    context TEXT NOT NULL,
    value DOUBLE,
    step BIGINT DEFAULT 0 NOT NULL,
    time BIGINT NOT NULL,
    execution_id TEXT,
    PRIMARY KEY (run_id, name, context),
    FOREIGN KEY(run_id) REFERENCES runs (id)
)
 WITHOUT ROWID;

CREATE INDEX last_metrics_by_value ON last_metrics (name, context, value, run_id);

CREATE TABLE metrics (
    seq INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    name TEXT NOT NULL,
    value DOUBLE,
    step BIGINT DEFAULT 0 NOT NULL,
    time BIGINT NOT NULL,
    context TEXT DEFAULT '' NOT NULL,
    execution_id TEXT,
    PRIMARY KEY (seq),
    FOREIGN KEY(run_id) REFERENCES runs (id)
);

CREATE INDEX metrics_by_name ON metrics (run_id, name, context, step, time, seq);

CREATE TABLE params (
    run_id TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run_id, name),
    FOREIGN KEY(run_id) REFERENCES runs (id)
)
 WITHOUT ROWID;

CREATE INDEX params_by_name ON params (name, run_id);

CREATE TABLE run_contexts (
    run_id TEXT NOT NULL,
    context_id TEXT NOT NULL,
    PRIMARY KEY (run_id, context_id),
    FOREIGN KEY(run_id) REFERENCES runs (id),
    FOREIGN KEY(context_id) REFERENCES contexts (id)
)
 WITHOUT ROWID;

CREATE INDEX run_contexts_by_context ON run_contexts (context_id, run_id);

CREATE TABLE tags (
    run_id TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run_id, name),
    FOREIGN KEY(run_id) REFERENCES runs (id)
)
 WITHOUT ROWID;

CREATE INDEX tags_by_name ON tags (name, run_id);

CREATE TABLE events (
    execution_id TEXT NOT NULL,
    direction TEXT NOT NULL,
    name TEXT NOT NULL,
    artifact_id TEXT NOT NULL,
    position INTEGER DEFAULT 0 NOT NULL,
    PRIMARY KEY (execution_id, direction, name),
    FOREIGN KEY(execution_id) REFERENCES executions (id),
    FOREIGN KEY(artifact_id) REFERENCES artifacts (id)
)
 WITHOUT ROWID;

CREATE INDEX events_by_artifact ON events (artifact_id, direction, execution_id);

CREATE TABLE model_versions (
    id TEXT NOT NULL,
    model TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    run_id TEXT,
    execution_id TEXT,
    package TEXT NOT NULL,
    stage TEXT DEFAULT 'registered' NOT NULL,
    description TEXT DEFAULT '' NOT NULL,
    tags TEXT DEFAULT '{}' NOT NULL,
    metrics TEXT DEFAULT '{}' NOT NULL,
    gate TEXT DEFAULT '{}' NOT NULL,
    archived SMALLINT DEFAULT 0 NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT model_versions_by_number UNIQUE (model, version),
    FOREIGN KEY(model) REFERENCES models (name),
    FOREIGN KEY(run_id) REFERENCES runs (id),
    FOREIGN KEY(execution_id) REFERENCES executions (id),
    FOREIGN KEY(package) REFERENCES artifacts (id)
);

CREATE INDEX model_versions_by_execution ON model_versions (execution_id, created_at, id);

CREATE INDEX model_versions_by_model ON model_versions (model, created_at, id);

CREATE INDEX model_versions_by_package ON model_versions (package, created_at, id);

CREATE INDEX model_versions_by_run ON model_versions (run_id, created_at, id);

CREATE INDEX model_versions_by_time ON model_versions (created_at, id);

CREATE TABLE aliases (
    model TEXT NOT NULL,
    alias TEXT NOT NULL,
    version INTEGER NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (model, alias),
    FOREIGN KEY(model, version) REFERENCES model_versions (model, version)
)
 WITHOUT ROWID;

CREATE INDEX aliases_by_version ON aliases (model, version);
